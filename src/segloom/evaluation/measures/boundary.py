"""IoU and F of the outlines, see `segloom.metrics.boundary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.evaluation.measures.base import (
    Pair,
    ScoreGroup,
    Shown,
    SplitCounts,
    Table,
    number_or_none,
)
from segloom.evaluation.measures.limits import LimitMeasure
from segloom.metrics.boundary import (
    BOUNDARY_DEFINITION,
    NUM_BOUNDARY_COUNTS,
    boundary_scores,
    tolerance_pixels,
)
from segloom.metrics.scores import Numbers

__all__ = ["BOUNDARY_COLUMNS", "BoundaryMeasure", "tolerance_words"]

BOUNDARY_COLUMNS = ("tolerance", "pixels", "class", "bIoU", "bF")
"""Of boundary.csv."""


class BoundaryMeasure(LimitMeasure[float]):
    """Bands and contours within ``eval.boundary_tolerances``, shares of the image diagonal."""

    name = "boundary"
    files = ("boundary.csv",)
    listed_in = "boundary_tolerances"

    def shapes(self, num_classes: int, overlaps: bool) -> dict[str, tuple[int, ...]]:
        """``(T, K, 7)``, and every tolerance in pixels of this image."""
        number = len(self.limits)
        return {"boundary": (number, num_classes, NUM_BOUNDARY_COUNTS), "distances": (number,)}

    def count(self, pair: Pair) -> dict[str, NDArray[np.int64]]:
        """Count the pixels of bands and contours."""
        maps = pair.prediction, pair.truth
        pixels = [tolerance_pixels(*pair.size, t) for t in self.limits]
        return {
            "boundary": pair.measures.boundary(*maps, pair.num_classes, self.limits),
            "distances": np.array(pixels, np.int64),
        }

    def summarize(self, counted: SplitCounts) -> dict[str, object]:
        """Return both scores at every tolerance, of all classes and of each."""
        if not self.limits:
            return {"boundary": None}
        result = boundary_scores(counted.sum("boundary"))
        pixels = np.median(counted.stack("distances"), axis=0)
        tolerances = [
            {
                "tolerance": tolerance,
                "pixels": int(pixels[t]),
                "bIoU": number_or_none(result.mean_iou[t]),
                "bF": number_or_none(result.mean_f[t]),
                "per_class": [
                    {
                        "name": name,
                        "bIoU": number_or_none(result.iou[t, k]),
                        "bF": number_or_none(result.f[t, k]),
                    }
                    for k, name in enumerate(counted.classes)
                ],
            }
            for t, tolerance in enumerate(self.limits)
        ]
        return {"boundary": {"definition": BOUNDARY_DEFINITION, "tolerances": tolerances}}

    def scores(self, counted: SplitCounts) -> Sequence[ScoreGroup]:
        """Return both scores at every tolerance."""
        if not self.limits:
            return ()
        names = [f"{score}@{t:g}" for score in ("bIoU", "bF") for t in self.limits]
        return (ScoreGroup(names, counted.stack("boundary"), _columns),)

    @classmethod
    def tables(cls, metrics: Mapping[str, Any]) -> dict[str, Table]:
        """Write a row per tolerance for all classes, and one for each."""
        rows = [
            {
                "tolerance": group["tolerance"],
                "pixels": group["pixels"],
                "class": entry["name"],
                "bIoU": entry["bIoU"],
                "bF": entry["bF"],
            }
            for group in (metrics["boundary"] or {"tolerances": ()})["tolerances"]
            for entry in ({**group, "name": "all"}, *group["per_class"])
        ]
        return {"boundary.csv": Table(BOUNDARY_COLUMNS, rows)}

    @classmethod
    def section(cls, metrics: Mapping[str, Any]) -> Shown | None:
        """Show the tolerances."""
        if not metrics["boundary"]:
            return None
        rows = []
        for row in metrics["boundary"]["tolerances"]:
            cells: list[Any] = [tolerance_words(row)]
            for name in ("bIoU", "bF"):
                interval = metrics["intervals"].get(f"{name}@{row['tolerance']:g}", "")
                cells += [row[name], interval]
            rows.append(cells)
        return Shown("boundary within", ["bIoU", "95 %", "bF", "95 %"], rows)


def tolerance_words(row: Mapping[str, Any]) -> str:
    """Write a tolerance as a share of the diagonal and in pixels, or in pixels alone."""
    share = f"{100 * row['tolerance']:.4g} % ({row['pixels']} px)"
    return share if row["tolerance"] < 1 else f"{row['pixels']} px"


def _columns(counts: Numbers) -> NDArray[np.float64]:
    result = boundary_scores(counts)
    return np.concatenate([result.mean_iou, result.mean_f], axis=-1)
