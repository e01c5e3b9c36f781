"""Torch is never imported below the line that ARCHITECTURE.md and the import contract draw."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINE = "Below this line nothing imports torch"
TENSORS = {"torch", "lightning", "torchmetrics", "segmentation_models_pytorch", "timm"}
EXCEPTIONS = {"data/dataset.py", "data/loader.py"}  # they make the batches of a training


def rooms_below() -> list[str]:
    """Read the rooms below the line out of the import contract."""
    text = (ROOT / "pyproject.toml").read_text()
    contract = text[text.index(LINE) :].partition("\n]")[0].partition("\n")[2]
    layers = tomllib.loads(f"layers = [\n{contract}\n]")["layers"]
    return sorted(room.strip() for layer in layers for room in layer.split("|"))


def files_below() -> list[Path]:
    source = ROOT / "src" / "segloom"
    found = [path for room in rooms_below() for path in (source / room).rglob("*.py")]
    found += [source / f"{room}.py" for room in rooms_below() if (source / f"{room}.py").is_file()]
    return [path for path in found if path.relative_to(source).as_posix() not in EXCEPTIONS]


def imported(path: Path) -> set[str]:
    """Name the packages that a file imports, in functions too, but not for type checkers alone."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting += ast.iter_child_nodes(node)
    return names


def test_the_line_runs_above_what_serves_and_reads() -> None:
    assert {"report", "runtime", "prediction", "metrics", "data", "labels", "images"} <= set(
        rooms_below()
    )
    assert not {"inference", "models", "ops", "training"} & set(rooms_below())


def test_no_file_below_the_line_imports_torch() -> None:
    found = {path: imported(path) & TENSORS for path in files_below()}
    assert len(found) > 80
    assert {str(path): names for path, names in found.items() if names} == {}


def loads_torch(statement: str) -> bool:
    program = f"{statement}\nimport sys\nprint('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1] == "True"


def test_importing_every_file_below_the_line_loads_no_torch() -> None:
    source = ROOT / "src"
    modules = [
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for path in files_below()
    ]
    assert not loads_torch("\n".join(f"import {module}" for module in modules))


@pytest.mark.parametrize(
    "modules",
    [
        *("segloom", "segloom.cli.main", "segloom.cli.predict", "segloom.cli.compare"),
        *("segloom.training", "segloom.inference", "segloom.models", "segloom.enhancements"),
        "segloom.evaluation, segloom.evaluation.run, segloom.evaluation.summary",
        "segloom.comparison.run, segloom.comparison.finished, segloom.comparison.statistics.tables",
        "segloom.serve, segloom.serve.app, segloom.serve.models",
        "segloom.comparison.suggest.profile, segloom.comparison.cells.status",
    ],
)
def test_what_stands_above_the_line_loads_torch_only_when_it_computes(modules: str) -> None:
    assert not loads_torch(f"import {modules}")


def test_the_check_sees_torch_where_it_is() -> None:
    assert "torch" in imported(ROOT / "src" / "segloom" / "data" / "dataset.py")
    assert loads_torch("import segloom.ops.sizes, segloom.data.dataset")
