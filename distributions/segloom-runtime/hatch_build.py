"""Builds the wheel of segloom-runtime from those files of segloom that `segloom.runtime` imports.

They are copied below ``segloom_runtime`` with their imports renamed, so that nothing is written
twice and the wheel shares no file with segloom: both can be installed beside each other.
"""

from __future__ import annotations

import ast
import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
START = "segloom.runtime"
INIT = '''"""Networks that segloom exported, run with numpy, Pillow and ONNX Runtime."""

from segloom_runtime.runtime import Description, ExportedModel, load

__all__ = ["Description", "ExportedModel", "load"]
'''


def needed_modules(start: str = START) -> dict[str, Path]:
    """Find the modules of segloom that one of them imports, in functions too, and their files."""
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        file = _file_of(module)
        if file is None or module in found:
            continue
        found[module] = file
        parent = module.rpartition(".")[0]
        waiting += [parent, *_imports(file)] if parent != "segloom" else _imports(file)
    return found


def renamed(text: str) -> str:
    """Rename segloom in the import lines of a file."""
    return re.sub(
        r"^(\s*(?:from|import) )segloom\b", r"\1segloom_runtime", text, flags=re.MULTILINE
    )


def write_package(folder: Path) -> None:
    """Write the package ``segloom_runtime`` into a folder."""
    files = {"__init__.py": INIT, "py.typed": ""}
    for file in needed_modules().values():
        name = file.relative_to(SOURCE / "segloom").as_posix()
        files[name] = renamed(file.read_text(encoding="utf-8"))
    for name, text in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _file_of(module: str) -> Path | None:
    path = SOURCE.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    is_ours = module.startswith("segloom.")
    return next((file for file in candidates if is_ours and file.is_file()), None)


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class VersionHook(MetadataHookInterface):
    """Takes the version of segloom."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set it."""
        with (ROOT / "pyproject.toml").open("rb") as file:
            metadata["version"] = tomllib.load(file)["project"]["version"]


class SourceHook(BuildHookInterface):
    """Puts the files into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Copy them with renamed imports."""
        self.folder = tempfile.TemporaryDirectory()
        write_package(Path(self.folder.name))
        build_data["force_include"][self.folder.name] = "segloom_runtime"
        build_data["force_include"][str(ROOT / "LICENSE")] = "segloom_runtime/LICENSE"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the copies."""
        self.folder.cleanup()
