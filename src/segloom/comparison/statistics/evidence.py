"""What qualifies a verdict: how the runs were trained, and what their difference varies by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segloom.comparison.statistics.paired import PairedDifferences
from segloom.comparison.statistics.results import Measured
from segloom.report.comparison_result import CoursePoint, VarianceShares
from segloom.run_directory import RunDirectory

__all__ = ["LAST_PART", "late_gain", "seed_correlation", "training_course", "variance_shares"]

LAST_PART = 0.25
"""Last share of a training in which its validation score should have stopped to rise."""


def late_gain(runs: Sequence[Measured]) -> float | None:
    """Return how much the best validation mIoU rose in the last quarter, the mean over runs.

    Args:
        runs: Of one kind, one per seed.

    Returns:
        A share; None where no run has kept its course with a validation before and in the quarter.
    """
    found = [gain for run in runs if (gain := _late_gain(run.path)) is not None]
    return float(np.mean(found)) if found else None


def training_course(runs: Sequence[Measured]) -> list[CoursePoint]:
    """Follow the validation mIoU over the epochs at which every run of a kind was validated."""
    courses = [dict(_validations(run.path)[0]) for run in runs]
    if not courses:
        return []
    common = sorted(set.intersection(*(set(course) for course in courses)))
    values = [[course[epoch] for course in courses] for epoch in common]
    return [
        CoursePoint(epoch, float(np.mean(found)), min(found), max(found))
        for epoch, found in zip(common, values, strict=True)
    ]


def _validations(run: Path) -> tuple[list[tuple[int, float]], int]:
    """Read epoch and mIoU of every validation, and the last epoch; nothing where none is kept."""
    history = RunDirectory(run).history.with_suffix(".jsonl")
    try:
        rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
        course = [(int(row["epoch"]), row.get("val/mIoU")) for row in rows]
        known = [(epoch, float(value)) for epoch, value in course if value is not None]
    except (OSError, ValueError, KeyError, TypeError):
        return [], 0  # label PNGs, or a run whose files were moved
    return known, course[-1][0] if course else 0


def _late_gain(run: Path) -> float | None:
    known, last = _validations(run)
    if not known:
        return None
    begin = (1 - LAST_PART) * last
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


def variance_shares(
    found: PairedDifferences,
    column: int,
    with_it: Sequence[Measured],
    without: Sequence[Measured],
) -> VarianceShares | None:
    """Divide the variance of a gain in mIoU into its parts.

    What the images bring is divided by what single images would: the jackknife's variance of the
    mean difference over the seeds.

    Args:
        found: The statistics of the pair.
        column: Of mIoU in them.
        with_it: Its runs, one per seed.
        without: Those of the baseline, likewise.
    """
    seeds = float(found.seed_share[column])
    if not np.isfinite(seeds):
        return None
    images, groups = 1 - seeds, 0.0
    whole = float(found.image_variance[column])
    if with_it[0].resampling.unit != "image" and whole > 0:
        influence = np.mean(
            [
                one.image_influence - two.image_influence
                for one, two in zip(with_it, without, strict=True)
            ],
            axis=0,
        )
        count = len(influence)
        alone = (count - 1) / count * float(((influence - influence.mean()) ** 2).sum())
        images = (1 - seeds) * min(1.0, alone / whole)
        groups = 1 - seeds - images
    return VarianceShares(seeds, images, groups)
