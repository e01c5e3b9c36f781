"""What qualifies a verdict: whether the baseline has converged, and what paired seeds removed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segloom.comparison.statistics.results import Measured
from segloom.run_directory import RunDirectory

__all__ = ["LAST_PART", "late_gain", "seed_correlation"]

LAST_PART = 0.25
"""Last share of a training in which its validation score should have stopped to rise."""


def late_gain(runs: Sequence[Measured]) -> float | None:
    """Say how much the best validation mIoU rose in the last quarter, the mean over runs.

    Args:
        runs: Of one kind, one per seed.

    Returns:
        A share; None where no run has kept its course with a validation before and in the quarter.
    """
    found = [gain for run in runs if (gain := _late_gain(run.path)) is not None]
    return float(np.mean(found)) if found else None


def _late_gain(run: Path) -> float | None:
    history = RunDirectory(run).history.with_suffix(".jsonl")
    try:
        rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
        course = [(int(row["epoch"]), row.get("val/mIoU")) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # label PNGs, or a run whose files were moved
    known = [(epoch, float(value)) for epoch, value in course if value is not None]
    if not known:
        return None
    begin = (1 - LAST_PART) * course[-1][0]
    before = [value for epoch, value in known if epoch <= begin]
    if not before or known[-1][0] <= begin:
        return None
    return max(value for _, value in known) - max(before)


def seed_correlation(
    with_it: Sequence[float | None], without: Sequence[float | None]
) -> float | None:
    """Correlate the scores of paired seeds; None with fewer than three, or without any spread."""
    pairs = [
        (x, y) for x, y in zip(with_it, without, strict=True) if x is not None and y is not None
    ]
    if len(pairs) < 3:
        return None
    values = np.array(pairs, np.float64).T
    if (np.ptp(values, axis=1) == 0).any():
        return None
    return float(np.asarray(np.corrcoef(values))[0, 1])
