"""How often the test split of a plan was looked at, and whether the plan is still the one it was.

``DIR/looks.jsonl`` gets a line each time tables are written from other cells than before.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from segloom.comparison.cells.plan import plan_conditions
from segloom.config.comparison import ComparisonPlan

__all__ = ["count_looks", "plan_hash"]

FILE = "looks.jsonl"


def plan_hash(plan: ComparisonPlan) -> str:
    """Hash what a plan fixes before its first cell: 16 hexadecimal digits.

    Seeds and places are left out, since a plan may get more seeds and move.
    """
    text = json.dumps(plan_conditions(plan), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def count_looks(folder: Path, plan: ComparisonPlan, done: int) -> int:
    """Note that the test scores of so many cells are looked at now, and count the looks.

    The same cells again are no other look.
    """
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    look = {"plan": plan_hash(plan), "cells": done}
    last = json.loads(lines[-1]) if lines else {}
    if {key: last.get(key) for key in look} != look:
        lines.append(json.dumps({**look, "time": round(time.time())}))
        with path.open("a", encoding="utf-8") as file:
            file.write(lines[-1] + "\n")
    return len(lines)
