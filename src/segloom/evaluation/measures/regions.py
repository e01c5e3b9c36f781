"""Scores of regions: the foreground of two classes, or what a data set names.

Axes: U units (images or cases), K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.measures.base import Measure, Shown, SplitCounts, Table
from segloom.labels.space import space_of
from segloom.metrics.regions import (
    REGION_DEFINITION,
    REGION_SCORES,
    THRESHOLD_DEFINITION,
    UNIT_SCORES,
    count_region,
    region_scores,
    unit_scores,
)
from segloom.metrics.statistics import bootstrap_interval
from segloom.types import Region

__all__ = ["RegionMeasure"]


class RegionMeasure(Measure):
    """Scores regions from the counts of the labels; on where a data set has any.

    Where there are two classes and no regions, the second class is one, and where classes may
    overlap, each is.
    """

    name = "regions"
    files = ("regions.csv",)

    @classmethod
    def configured(cls, config: EvalConfig) -> RegionMeasure:
        """Make it."""
        return cls()

    def summarize(self, counted: SplitCounts) -> dict[str, object]:
        """Score regions per unit and over the whole data set."""
        regions = _regions(counted)
        if not regions:
            return {"regions": None}
        names, confusion = _units(counted)
        is_cases = len(names) < len(counted.images) or any(counted.cases)
        part = {
            "definition": REGION_DEFINITION
            + THRESHOLD_DEFINITION * any(region.has_threshold for region in regions),
            "unit": "case" if is_cases else "image",
            "num_units": len(names),
            "regions": [_region(region, confusion, counted.resamples) for region in regions],
            "units": [
                {
                    "name": name,
                    "region": region.name,
                    **dict(zip(_names(region), map(float, scores), strict=False)),
                }
                for region in regions
                for name, scores in zip(names, unit_scores(_count(confusion, region)), strict=True)
            ],
        }
        return {"regions": part}

    @classmethod
    def tables(cls, metrics: Mapping[str, Any]) -> dict[str, Table]:
        """Write a row per unit and region."""
        part = metrics["regions"]
        units = part["units"] if part else ()
        found = [name for name in UNIT_SCORES if any(name in unit for unit in units)]
        return {"regions.csv": Table(["name", "region", *found], units)}

    @classmethod
    def section(cls, metrics: Mapping[str, Any]) -> Shown | None:
        """Show the mean over units and the whole."""
        part = metrics["regions"]
        if not part:
            return None
        rows = [
            (
                region["name"],
                name,
                value,
                region["intervals"].get(f"mean.{name}", ""),
                region["whole"].get(name),
            )
            for region in part["regions"]
            for name, value in region["mean"].items()
        ]
        columns = ["score", f"mean per {part['unit']}", "95 %", "whole"]
        return Shown("region", columns, rows, num_words=2)


def _regions(counted: SplitCounts) -> Sequence[Region]:
    return counted.regions or space_of(counted.labels).usual_regions(counted.classes)


def _units(counted: SplitCounts) -> tuple[list[str], NDArray[np.int64]]:
    """Add up the counts of every unit: names and ``(U, K, K)`` or ``(U, K, 2, 2)``."""
    summed: dict[str, NDArray[np.int64]] = {}
    cases = counted.cases or [""] * len(counted.images)
    for image, case in zip(counted.images, cases, strict=True):
        name = case or image.id
        summed[name] = summed[name] + image.confusion if name in summed else image.confusion
    return list(summed), np.stack(list(summed.values()))


def _count(confusion: NDArray[np.int64], region: Region) -> NDArray[np.int64]:
    """Count TP, FP, FN, TN ``(U, 4)`` of a region; of classes that overlap it is a single one."""
    if confusion.ndim == 4:
        return count_region(confusion[:, region.classes[0]], (1,))
    return count_region(confusion, region.classes)


def _names(region: Region) -> tuple[str, ...]:
    """Name the scores of its units: all of `unit_scores`, or all but the last."""
    return UNIT_SCORES if region.has_threshold else REGION_SCORES


def _region(region: Region, confusion: NDArray[np.int64], resamples: int) -> dict[str, Any]:
    counts = _count(confusion, region)  # (U, 4)
    names = _names(region)
    by_unit = unit_scores(counts)[:, : len(names)]  # (U, 5) or (U, 6)
    number = len(counts)
    mean_ends = bootstrap_interval(by_unit, lambda sums: sums / number, resamples=resamples)
    whole_ends = bootstrap_interval(counts, region_scores, resamples=resamples)
    return {
        "name": region.name,
        "classes": list(region.classes),
        "mean": dict(zip(names, by_unit.mean(axis=0).tolist(), strict=True)),
        "whole": dict(zip(REGION_SCORES, region_scores(counts.sum(axis=0)).tolist(), strict=True)),
        "intervals": {
            **{f"mean.{n}": e.tolist() for n, e in _defined(names, mean_ends)},
            **{f"whole.{n}": e.tolist() for n, e in _defined(REGION_SCORES, whole_ends)},
        },
    }


def _defined(
    names: Sequence[str], ends: NDArray[np.float64]
) -> list[tuple[str, NDArray[np.float64]]]:
    pairs = zip(names, ends, strict=True)
    return [(name, pair) for name, pair in pairs if not np.isnan(pair).any()]
