"""Time a comparison against its bare trainings, and two workers against one.

Every cell is one training and one test on generated street scenes, on one core. ``bare`` does them
one after the other in one process, with nothing around them; ``one worker`` and ``two workers`` are
`segloom compare` with everything it does: plan, locks, cost of every cell, statistics, tables.
Goals: less than 3 % more time than the bare work, and two workers at least 1.7 times as fast as
one. Wall time of two processes: run ``python benchmarks/bench_compare.py`` where nothing else runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import interleave, median_ratio, write_result

BARE = """
import sys
from pathlib import Path
from segloom.comparison.cells.plan import make_cells, read_plan
from segloom.evaluation import evaluate
from segloom.training import train
folder = Path(sys.argv[1])
for cell in make_cells(read_plan(folder), folder / "bare"):
    evaluate(train(cell.config).path, cell.config.eval)
"""


def call(*words: str) -> None:
    """Run Python in a process of its own, with one thread."""
    subprocess.run(
        [sys.executable, *words],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


OVERHEAD, SPEED = 1.03, 1.7


def main() -> int:
    """Parse the command line, measure, print and write; return 0 if the goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="of every cell")
    parser.add_argument("--seeds", type=int, default=2, help="of the two kinds of cells")
    parser.add_argument("--no-write", action="store_true", help="print only")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "lab"
        plan = ["--enhancements", "none", "celt", "--seeds", f"0..{words.seeds - 1}"]
        plan += ["--epochs", str(words.epochs), "--train.threads", "1", "--train.validate-every"]
        compare = ["-m", "segloom", "compare", "demo", *plan, str(words.epochs)]

        def fresh(workers: int) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            call(*compare, "--out", str(folder), "--workers", str(workers))

        def bare() -> None:
            shutil.rmtree(folder / "bare", ignore_errors=True)
            call("-c", BARE, str(folder))

        fresh(1)  # warms up the files, and writes the plan that `bare` reads
        variants: dict[str, Callable[[], None]] = {
            "bare": bare,
            "one worker": lambda: fresh(1),
            "two workers": lambda: fresh(2),
        }
        timings = interleave(variants, rounds=words.rounds, warmup=0)
    overhead = median_ratio(timings, "one worker", "bare")
    speed = median_ratio(timings, "one worker", "two workers")
    result = {
        "cells": 2 * words.seeds,
        "epochs": words.epochs,
        "timings": timings,
        "overhead": overhead,
        "speed of two workers": speed,
        "goals": {"overhead": OVERHEAD, "speed of two workers": SPEED},
        "reached": overhead < OVERHEAD and speed >= SPEED,
    }
    print(f"one worker against bare: {overhead} (goal: below {OVERHEAD})")
    print(f"one worker against two: {speed} (goal: {SPEED} or more)")
    if not words.no_write:
        write_result("compare", result)
    return 0 if result["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
