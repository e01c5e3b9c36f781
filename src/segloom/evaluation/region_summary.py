"""The part of metrics.json on regions: the foreground of two classes, or what a reader names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.image_counts import ImageCounts
from segloom.files import write_csv
from segloom.metrics.regions import (
    REGION_DEFINITION,
    REGION_SCORES,
    UNIT_SCORES,
    count_region,
    region_scores,
    unit_scores,
)
from segloom.metrics.statistics import bootstrap_interval
from segloom.types import Region

__all__ = ["summarize_regions", "write_regions"]

Array = NDArray[Any]


def summarize_regions(
    images: Sequence[ImageCounts],
    cases: Sequence[str],
    regions: Sequence[Region],
    config: EvalConfig,
) -> dict[str, Any] | None:
    """Score regions per unit and over the whole data set; None if there are no regions.

    Args:
        images: Counts of every image.
        cases: To which case each image belongs; empty for one that is a case of its own.
        regions: What is scored.
        config: How many resamples of the units the intervals have.
    """
    if not regions:
        return None
    names, confusion = _units(images, cases)
    is_cases = len(names) < len(images) or any(cases)
    return {
        "definition": REGION_DEFINITION,
        "unit": "case" if is_cases else "image",
        "num_units": len(names),
        "regions": [_region(region, confusion, config.bootstrap) for region in regions],
        "units": [
            {
                "name": name,
                "region": region.name,
                **dict(zip(UNIT_SCORES, map(float, scores), strict=True)),
            }
            for region in regions
            for name, scores in zip(names, unit_scores(_count(confusion, region)), strict=True)
        ],
    }


def write_regions(folder: Path, part: dict[str, Any] | None) -> Path | None:
    """Write regions.csv, a row per unit and region; remove an old one if nothing was measured."""
    path = folder / "regions.csv"
    if part is None:
        path.unlink(missing_ok=True)
        return None
    write_csv(path, ["name", "region", *UNIT_SCORES], part["units"])
    return path


def _units(images: Sequence[ImageCounts], cases: Sequence[str]) -> tuple[list[str], Array]:
    """Add up the counts of every unit: names and ``(U, K, K)`` or ``(U, K, 2, 2)``."""
    summed: dict[str, Array] = {}
    for image, case in zip(images, cases, strict=True):
        name = case or image.id
        summed[name] = summed[name] + image.confusion if name in summed else image.confusion
    return list(summed), np.stack(list(summed.values()))


def _count(confusion: Array, region: Region) -> Array:
    """Count TP, FP, FN, TN ``(U, 4)`` of a region; of classes that overlap it is a single one."""
    if confusion.ndim == 4:
        return count_region(confusion[:, region.classes[0]], (1,))
    return count_region(confusion, region.classes)


def _region(region: Region, confusion: Array, resamples: int) -> dict[str, Any]:
    counts = _count(confusion, region)  # (U, 4)
    by_unit = unit_scores(counts)  # (U, 6)
    number = len(counts)
    mean_ends = bootstrap_interval(by_unit, lambda sums: sums / number, resamples=resamples)
    whole_ends = bootstrap_interval(counts, region_scores, resamples=resamples)
    return {
        "name": region.name,
        "classes": list(region.classes),
        "mean": dict(zip(UNIT_SCORES, by_unit.mean(axis=0).tolist(), strict=True)),
        "whole": dict(zip(REGION_SCORES, region_scores(counts.sum(axis=0)).tolist(), strict=True)),
        "intervals": {
            **{f"mean.{n}": e.tolist() for n, e in _defined(UNIT_SCORES, mean_ends)},
            **{f"whole.{n}": e.tolist() for n, e in _defined(REGION_SCORES, whole_ends)},
        },
    }


def _defined(names: Sequence[str], ends: Array) -> list[tuple[str, Array]]:
    pairs = zip(names, ends, strict=True)
    return [(name, pair) for name, pair in pairs if not np.isnan(pair).any()]
