"""Figures of the source: sizes, conditions on the mode, complexity, ``Any``, imports, rooms.

    python dev/measure_code.py

Prints each figure beside the bound that the project has set itself. Complexity needs the package
radon and is left out without it.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "segloom"
MODE = re.compile(
    r"multilabel|binary|one_logit|Exclusive|OneLogit|Overlapping|\boverlaps\b", re.IGNORECASE
)
"""What a condition on the mode of a network or on the format of a label map names."""
OWNERS = {SOURCE / "labels" / "space.py", SOURCE / "labels" / "abstract_space.py"}
"""The files whose business the mode is."""
OTHERS = re.compile(r"jpeg-binary|seen\.overlaps")
"""Names that hold a word of :data:`MODE` and mean something else."""


class Figure(NamedTuple):
    """One line of the output."""

    name: str
    value: str
    bound: str = ""


def main() -> None:
    """Print all figures."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}
    figures = [
        *sizes(trees),
        conditions(trees),
        Figure("Any in the code", str(count_any(trees)), "<= 300"),
        *imports(trees),
        *tests(),
        *complexity(trees),
    ]
    width = max(len(figure.name) for figure in figures)
    for name, value, bound in figures:
        sys.stdout.write(f"{name:<{width}}  {value:>11}  {bound}".rstrip() + "\n")


def sizes(trees: dict[Path, ast.Module]) -> list[Figure]:
    """Count files, lines and the share of the biggest room."""
    lines = {path: len(path.read_text().splitlines()) for path in trees}
    rooms: Counter[str] = Counter()
    for path, number in lines.items():
        rooms[room_of(path)] += number
    room, most = rooms.most_common(1)[0]
    total = sum(lines.values())
    return [
        Figure("files / lines", f"{len(lines)} / {total}"),
        Figure("longest file", str(max(lines.values())), "<= 400"),
        Figure(f"biggest room: {room}", f"{100 * most / total:.1f} %", "<= 16 %"),
    ]


def conditions(trees: dict[Path, ast.Module]) -> Figure:
    """Count the conditions outside `labels/space.py` that ask for the mode."""
    found: Counter[Path] = Counter()
    for path, tree in trees.items():
        if path not in OWNERS:
            found[path] += sum(
                bool(MODE.search(OTHERS.sub("", ast.unparse(test)))) for test in tests_of(tree)
            )
    files = sum(number > 0 for number in found.values())
    return Figure("conditions on the mode / in files", f"{found.total()} / {files}", "<= 10")


def tests_of(tree: ast.Module) -> Iterator[ast.AST]:
    """Give what `if`, `while`, `assert`, comprehensions and `match` ask."""
    for node in ast.walk(tree):
        match node:
            case ast.If() | ast.IfExp() | ast.While() | ast.Assert():
                yield node.test
            case ast.comprehension():
                yield from node.ifs
            case ast.match_case():
                yield node.pattern


def count_any(trees: dict[Path, ast.Module]) -> int:
    """Count `Any` where it is a type or its import, not the English word in prose."""
    return sum(
        (isinstance(node, ast.Name) and node.id == "Any")
        or (isinstance(node, ast.alias) and node.name == "Any")
        or (isinstance(node, ast.Constant) and node.value == "Any")
        or (isinstance(node, ast.Attribute) and node.attr == "Any")
        for tree in trees.values()
        for node in ast.walk(tree)
    )


def imports(trees: dict[Path, ast.Module]) -> list[Figure]:
    """Count imports inside functions, and those that run up the layers."""
    floors = layers()
    upward, lazy = 0, 0
    lines = sum(len(path.read_text().splitlines()) for path in trees)
    for path, tree in trees.items():
        room = room_of(path)
        lazy += sum(isinstance(node, ast.Import | ast.ImportFrom) for node in inside(tree))
        for node in runtime_nodes(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                others = {target for target in targets(node) if target != room}
                upward += any(
                    floors[other] <= floors[room]
                    for other in others & floors.keys()
                    if room in floors
                )
    return [
        Figure("imports inside functions", str(lazy)),
        Figure("  per 1000 lines", f"{1000 * lazy / lines:.1f}", "<= 4.2"),
        Figure("imports upward", str(upward), "0"),
    ]


def inside(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk the bodies of all functions, each statement once."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from runtime_nodes(child)
        else:
            yield from inside(child)


def layers() -> dict[str, int]:
    """Read the floor of every room out of the import contract; 0 is the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return {
        room.strip(): floor
        for floor, layer in enumerate(contract["layers"])
        for room in layer.split("|")
    }


def targets(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Name the rooms that an import names."""
    if isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    else:
        names = [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("segloom.")}


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without what only type checkers see."""
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from runtime_nodes(child)


def room_of(path: Path) -> str:
    """Name the room of a file: its folder, or its own name at the root."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def tests() -> list[Figure]:
    """Compare the lines of the tests with those of the source, and count files with a mirror."""
    written = sum(len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py"))
    every = list(SOURCE.rglob("*.py"))
    source = sum(len(path.read_text().splitlines()) for path in every)
    files = [path for path in every if not path.name.startswith("__")]
    names = {path.stem.removeprefix("test_") for path in (ROOT / "tests").rglob("test_*.py")}
    mirrored = sum(path.stem in names or f"{room_of(path)}_{path.stem}" in names for path in files)
    return [
        Figure("test lines / source lines", f"{written / source:.2f}", ">= 0.8"),
        Figure("files with a test of their name", f"{mirrored} / {len(files)}"),
    ]


def complexity(trees: dict[Path, ast.Module]) -> list[Figure]:
    """Count the blocks of cyclomatic complexity C (above 10) and D (above 20)."""
    try:
        from radon.complexity import cc_visit
    except ImportError:
        return []
    blocks = [
        (block.complexity, f"{path.relative_to(SOURCE).as_posix()}:{block.name}")
        for path in trees
        for block in cc_visit(path.read_text())
    ]
    worst = sorted((block for block in blocks if block[0] > 20), reverse=True)
    return [
        Figure("blocks of complexity C and above", str(sum(b[0] > 10 for b in blocks)), "<= 60"),
        Figure("blocks of complexity D and above", str(len(worst)), "0"),
        *(Figure(f"  {name}", str(value)) for value, name in worst),
    ]


if __name__ == "__main__":
    main()
