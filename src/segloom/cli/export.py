"""``segloom export RUN --out DIR``: write a network as a file for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from segloom.cli.options import parse
from segloom.config import DataConfig
from segloom.config.load import read_config
from segloom.errors import ExportRefusedError
from segloom.run_directory import RunDirectory
from segloom.runtime.description import ExportKind, Precision

if TYPE_CHECKING:
    from segloom.exports import Export

__all__ = ["ExportOptions", "run"]


@dataclass
class ExportOptions:
    """Write a trained network as a file that runs without torch.

    The file is opened by its own runtime and compared with the network on real images first; one
    that answers otherwise is refused (exit code 1), and nothing is written.
    """

    run: Positional[Path]
    """A run (its best checkpoint is taken) or a model directory."""
    out: Path
    """Folder of the export; an earlier export there is replaced."""
    format: ExportKind = "onnx"
    """onnx is one file; openvino is for OpenVINO; triton puts a model repository for Triton beside
    an ONNX file, web a page that runs the network in a browser, in one HTML file to send to
    somebody."""
    precision: Precision = "fp32"
    """Of the file: int8, whose ranges of values are taken from images of the training split, or for
    openvino bf16."""
    tolerance: float = 0.5
    """Below fp32, largest loss of mIoU in points (per cent)."""
    class_tolerance: float = 5.0
    """Below fp32, largest loss of a class's IoU in points."""
    minutes: float = 10.0
    """With int8, where it loses more: about how long the choice of the layers that stay in floating
    point may take."""
    ort_web: Path | None = None
    """With web, a folder with the npm package onnxruntime-web; None lets npm fetch it once."""
    probabilities: bool = False
    """Give the file a third output, the probabilities of the classes; its label map and logits are
    there anyway."""
    split: Literal["train", "val", "test"] = "val"
    """Split of the run's data on whose images network and file are compared."""
    images: Path | None = None
    """Folder of images to compare them on instead, without ground truth."""
    max_images: int = 100
    """How many images of the split are compared at most, evenly spread; 0 compares all."""
    data: DataConfig = field(default_factory=DataConfig)
    """Where the images are, if not where the run was trained."""
    json: bool = False
    """Print gate.json and the folder instead of lines."""


def run(words: Sequence[str]) -> int:
    """Export, say how the file compared, and return the exit code."""
    options = _read_options(words)
    from segloom.exports import export

    try:
        done = export(
            options.run,
            options.out,
            format=options.format,
            precision=options.precision,
            probabilities=options.probabilities,
            split=options.split,
            images=options.images,
            data=None if options.data == DataConfig() else options.data,
            max_images=options.max_images,
            ort_web=options.ort_web,
            tolerance=options.tolerance,
            class_tolerance=options.class_tolerance,
            minutes=options.minutes,
            on_progress=_announce(),
        )
    except ExportRefusedError as error:
        print(f"segloom: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({**done.findings.to_json(), "folder": str(done.folder)}, indent=2))
    else:
        _print(done)
        _print_more(done, options.format)
    return 0


def _read_options(words: Sequence[str]) -> ExportOptions:
    """Parse twice: the first time only tells the run, whose data are then the defaults."""
    options = parse(ExportOptions, words, verb="export")
    path = RunDirectory(options.run).config
    if not path.is_file():
        return options
    defaults = ExportOptions(options.run, options.out, data=read_config(path).data)
    return parse(ExportOptions, words, verb="export", default=defaults)


def _announce() -> Callable[[str, int, int], None]:
    """Say on the error stream what is being done; it takes minutes."""
    last = ""

    def show(what: str, done: int, total: int) -> None:
        nonlocal last
        if what != last:
            last = what
            print(f"{what} ..." if total == 1 else f"{what} {total} images ...", file=sys.stderr)

    return show


def _print(done: Export) -> None:
    findings = done.findings
    worst = max(check.error for check in (*findings.sizes, *findings.disturbed_sizes))
    scores = findings.scores
    print(f"{len(findings.sizes)} sizes: logits within {worst:.1e} of the largest")
    print(f"{scores.images} images of {findings.source}: {100 * scores.agreement:.4f} % of labels")
    if scores.network is not None and scores.exported is not None:
        print(f"mIoU {100 * scores.network:.2f} % (network), {100 * scores.exported:.2f} % (file)")
    if findings.floating is not None and findings.floating.layers:
        kept, total = findings.floating.layers, findings.floating.of_layers
        print(f"{len(kept)} of {total} layers stay in floating point: {', '.join(kept)}")
    print(f"{done.folder / done.description.file} is written; `segloom predict` takes the folder")


def _print_more(done: Export, kind: ExportKind) -> None:
    if kind == "triton":
        print(f"{done.folder / 'triton'} is a model repository: tritonserver --model-repository")
    elif kind == "web":
        page = done.folder / "page.html"
        print(f"{page} has {page.stat().st_size / 1e6:.1f} MB; open it in a browser, or send it")
