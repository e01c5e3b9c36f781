"""Change the source in small ways and see whether a test notices: a mutation check.

    python dev/mutate.py metrics labels --number 40 --seed 0

Each mutant is one change of one file (an operator, a comparison, a number, a condition), made in a
copy of the source, on which the tests of the package run until the first one fails, those of the
changed file first; `--near` runs those alone, which is quick and notices less. What no test
notices is printed with its line: write the test, or say why the change makes no difference. The
scores last measured stand in dev/LOG.md.
"""

from __future__ import annotations

import argparse
import ast
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "enhancements": ("enhancements", ["tests/enhancements", "tests/matrix/test_se.py"]),
    "losses": ("losses", ["tests/losses"]),
    "metrics": ("metrics", ["tests/metrics"]),
    "statistics": ("comparison/statistics", ["tests/comparison/statistics"]),
    "measures": ("evaluation/measures", ["tests/evaluation"]),
    "labels": ("labels", ["tests/labels"]),
}
"""Name to the folder below src/segloom, and the tests that should notice."""
COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


class Mutant(NamedTuple):
    """One change of one file."""

    path: Path
    line: int
    words: str
    source: str


def main() -> int:
    """Parse the command line, try the mutants, print; return 1 if one survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="+", choices=PACKAGES)
    parser.add_argument("--number", type=int, default=20, help="mutants per package")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--near", action="store_true", help="only tests named after the file")
    parser.add_argument(
        "--seconds", type=float, default=600, help="a longer run is endless by the change: noticed"
    )
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), words.seconds)
        return 1 if sum(try_package(bench, name, words) for name in words.packages) else 0


def try_package(bench: Bench, name: str, words: argparse.Namespace) -> int:
    """Try the mutants of a package and print those that survive; return how many did."""
    folder, tests = PACKAGES[name]
    places = [place for path in sorted(files_of(folder)) for place in places_of(path)]
    chosen = random.Random(words.seed).sample(places, min(words.number, len(places)))
    of_file = {place.path: in_order(place.path, tests, is_near=words.near) for place in chosen}
    if not bench.passes(sorted(set(chain.from_iterable(of_file.values())))):
        raise SystemExit(f"The tests of {name} fail or take too long without any change.")
    alive = 0
    for mutant in map(make_mutant, chosen):
        if bench.passes(of_file[mutant.path], mutant):
            alive += 1
            say(f"  {mutant.path.relative_to(ROOT)}:{mutant.line}  {mutant.words}")
    say(f"{name}: {len(chosen) - alive} of {len(chosen)} noticed, {len(places)} possible")
    return alive


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def files_of(folder: str) -> Iterator[Path]:
    """Find the files of a package that hold code."""
    for path in (ROOT / "src" / "segloom" / folder).rglob("*.py"):
        if path.name != "__init__.py":
            yield path


def in_order(path: Path, tests: list[str], *, is_near: bool) -> list[str]:
    """List the test files, those named after the changed file first: they notice soonest.

    Args:
        path: The changed file.
        tests: Folders and files of the package's tests.
        is_near: Leave out the others, unless no test file is named so.
    """
    files = [
        file
        for place in tests
        for file in (
            [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("test_*.py"))
        )
    ]
    near = [str(file) for file in files if path.stem in file.stem]
    others = [str(file) for file in files if path.stem not in file.stem]
    return near if is_near and near else near + others


class Place(NamedTuple):
    """Where something can be changed: a node of a file, by number, and which of its changes."""

    path: Path
    node: int
    change: int


def places_of(path: Path) -> list[Place]:
    """List every small change of a file."""
    nodes = nodes_of(ast.parse(path.read_text()))
    return [
        Place(path, number, change)
        for number, node in enumerate(nodes)
        for change in range(len(changes(node)))
    ]


def make_mutant(place: Place) -> Mutant:
    """Change a file at one place."""
    tree = ast.parse(place.path.read_text())
    node = nodes_of(tree)[place.node]
    before = ast.unparse(node).splitlines()[0]
    changes(node)[place.change]()
    words = f"{before[:60]} -> {ast.unparse(node).splitlines()[0][:60]}"
    return Mutant(place.path, getattr(node, "lineno", 0), words, ast.unparse(tree))


def nodes_of(tree: ast.AST) -> list[ast.AST]:
    """List the nodes of a tree that hold code, always in the same order."""
    return [node for node in ast.walk(tree) if not is_annotation(node)]


def is_annotation(node: ast.AST) -> bool:
    """Return whether a node holds no code that runs: names of types and docstrings."""
    return isinstance(node, ast.Import | ast.ImportFrom | ast.alias | ast.arg)


def changes(node: ast.AST) -> list[Callable[[], None]]:
    """List what can be changed in a node, as functions that do it."""
    found: list[Callable[[], None]] = []
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        found.append(lambda: node.ops.__setitem__(0, COMPARISONS[type(node.ops[0])]()))
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not of_types(node):
        found.append(lambda: setattr(node, "op", OPERATORS[type(node.op)]()))
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        found.append(lambda: setattr(node, "op", other()))
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = node.value
        other_value = not value if isinstance(value, bool) else value + 1
        found.append(lambda: setattr(node, "value", other_value))
    if isinstance(node, ast.If | ast.IfExp | ast.While) and "TYPE_CHECKING" not in ast.unparse(
        node.test
    ):
        found.append(lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test)))
    return found


def of_types(node: ast.BinOp) -> bool:
    """Return whether ``a | b`` is a union of types, which no test can see."""
    names = {"None", "int", "str", "float", "bool", "Path", "Sequence", "Mapping"}
    return isinstance(node.op, ast.BitOr) and bool(
        names & {ast.unparse(side).partition("[")[0] for side in (node.left, node.right)}
    )


class Bench:
    """A copy of the source, and processes that run tests on it; torch is imported once for all."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.seconds = seconds
        self.source = folder / "src"
        shutil.copytree(ROOT / "src", self.source, ignore=shutil.ignore_patterns("__pycache__"))
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["torch", "pytest", "scipy.stats"])

    def passes(self, tests: list[str], mutant: Mutant | None = None) -> bool:
        """Run tests on the source, changed or as it is; an endless run does not pass."""
        if mutant is None:
            return self._run(tests)
        path = self.source / mutant.path.relative_to(ROOT / "src")
        before = path.read_text()
        path.write_text(mutant.source)
        try:
            return self._run(tests, write_bytecode=False)
        finally:
            path.write_text(before)

    def _run(self, tests: list[str], *, write_bytecode: bool = True) -> bool:
        process = self.context.Process(
            target=run_tests, args=(str(self.source), tests, write_bytecode)
        )
        process.start()
        process.join(self.seconds)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode == 0


def run_tests(source: str, tests: list[str], write_bytecode: bool) -> None:
    """Run the quick tests in this process, on the package below ``source``, without a word."""
    import pytest

    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(silence, stream.fileno())
    os.chdir(ROOT)
    sys.path.insert(0, source)
    os.environ["PYTHONPATH"] = source  # of the programs that tests start
    sys.dont_write_bytecode = not write_bytecode
    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]))


if __name__ == "__main__":
    sys.exit(main())
