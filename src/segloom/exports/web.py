"""An exported network as one HTML file that runs it in a browser, opened from a folder or a mail.

ONNX Runtime comes as WebAssembly (the npm package onnxruntime-web, MIT); it, the network and the
page of `segloom serve` are in the file, which asks nobody for anything. Where the browser has
WebGPU and it gives the same labels for the first photograph, sooner, it computes the next ones.
"""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from segloom.errors import ConfigError, SegloomError
from segloom.files import write_text
from segloom.page import read
from segloom.runtime.description import Description

__all__ = ["PAGE", "RUNTIME_VERSION", "find_runtime", "write_web_page"]

PAGE = "page.html"
RUNTIME_VERSION = "1.30.0"
"""Of onnxruntime-web; the one that the tests compare with ONNX Runtime."""
BUNDLE, WASM = "ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"
"""Its files that are used; they hold WebAssembly and WebGPU."""
CACHE = Path("~/.cache/segloom")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:",
        "worker-src blob:",
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""No connection is allowed at all: photographs cannot leave the page."""


def find_runtime(folder: Path | None = None) -> Path:
    """Find ONNX Runtime for browsers: in a folder, in the cache, or by npm.

    Args:
        folder: With the files of the npm package onnxruntime-web (its ``dist``).

    Raises:
        ConfigError: The folder lacks them, or npm is missing or fails.
    """
    if folder is not None:
        for place in (folder, folder / "dist", folder / "package" / "dist"):
            if all((place / name).is_file() for name in (BUNDLE, WASM)):
                return place
        raise ConfigError(
            f"{folder} lacks {BUNDLE} or {WASM}; name the folder dist of the npm package "
            f"onnxruntime-web {RUNTIME_VERSION}."
        )
    kept = CACHE.expanduser() / f"onnxruntime-web-{RUNTIME_VERSION}"
    if not all((kept / name).is_file() for name in (BUNDLE, WASM)):
        _fetch(kept)
    return kept


def _fetch(place: Path) -> None:
    """Let npm fetch the package, which also checks it, and keep the two files."""
    package = f"onnxruntime-web@{RUNTIME_VERSION}"
    with tempfile.TemporaryDirectory() as name:
        words = ["npm", "pack", package, "--silent", "--pack-destination", name]
        try:
            subprocess.run(words, check=True, capture_output=True, text=True, timeout=600)
        except FileNotFoundError as error:
            raise ConfigError(
                f"--format web needs {package}, and npm to fetch it; install npm, or unpack the "
                "package yourself and name its folder dist with --ort-web."
            ) from error
        except subprocess.SubprocessError as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            raise ConfigError(
                f"npm could not fetch {package} ({said[-1] if said else 'no reason given'}); "
                "unpack it yourself and name its folder dist with --ort-web."
            ) from error
        (archive,) = Path(name).glob("*.tgz")
        with tarfile.open(archive) as files:
            files.extractall(name, filter="data")
        place.mkdir(parents=True, exist_ok=True)
        for file in (BUNDLE, WASM):
            part = place / f".{file}"
            shutil.copyfile(Path(name) / "package" / "dist" / file, part)
            part.replace(place / file)


def write_web_page(folder: Path, description: Description, runtime: Path) -> Path:
    """Write ``page.html`` beside an exported network.

    Args:
        folder: With the file of the network.
        description: What it is.
        runtime: From `find_runtime`.

    Raises:
        SegloomError: The network takes other images than a browser reads.
    """
    if description.num_channels != 3:
        raise SegloomError(
            f"--format web shows photographs, of three channels; this network takes "
            f"{description.num_channels}."
        )
    labels = description.labels
    about = {
        "name": description.network,
        "overlaps": labels.is_multilabel,
        "classes": [
            {"id": k, "name": name, "color": list(color)}
            for k, (name, color) in enumerate(zip(labels.classes, labels.palette, strict=True))
        ],
    }
    parts = {
        "about": json.dumps(about).replace("<", "\\u003c"),
        "worker": read("worker.js"),
        "bundle": _packed(runtime / BUNDLE),
        "wasm": _packed(runtime / WASM),
        "model": _packed(folder / description.file),
    }
    write_text(path := folder / PAGE, _page(parts))
    return path


def _packed(file: Path) -> str:
    return base64.b64encode(gzip.compress(file.read_bytes(), mtime=0)).decode()


def _page(parts: dict[str, str]) -> str:
    """Put everything into the page that `segloom serve` shows."""
    page = read("page.html")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    data = "".join(
        f'<script type="text/plain" id="{name}">{content}</script>\n'
        for name, content in parts.items()
    )
    scripts = "".join(
        f'<script type="module">\n{read(name)}</script>\n'
        for name in ("polygons.js", "local.js", "page.js")
    )
    for old, new in (
        ('<meta charset="utf-8">', f'<meta charset="utf-8">\n    {policy}'),
        ('<link rel="stylesheet" href="page.css">', f"<style>\n{read('page.css')}</style>"),
        ('    <script type="module" src="server.js"></script>\n', ""),
        ('    <script type="module" src="page.js"></script>\n', ""),
        ('    <footer><a href="docs">API</a></footer>\n', ""),
        ("  </body>", f"{data}{scripts}  </body>"),
    ):
        if page.count(old) != 1:
            raise AssertionError(f"page.html holds {old!r} {page.count(old)} times, not once")
        page = page.replace(old, new)
    return page
