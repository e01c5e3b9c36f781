"""Boundary F of DAVIS, a mean over images, see `segloom.metrics.davis_boundary`.

Axes: N images, D tolerances, K classes.
"""

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
)
from segloom.evaluation.measures.boundary import BOUNDARY_COLUMNS, tolerance_words
from segloom.evaluation.measures.limits import LimitMeasure
from segloom.metrics.davis_boundary import (
    DAVIS_DEFINITION,
    NUM_DAVIS_COUNTS,
    davis_boundary_f,
    davis_slack,
)
from segloom.metrics.scores import Numbers

__all__ = ["DavisMeasure"]

SCORES = ("F", "precision", "recall")
COLUMNS = tuple(f"davis {name}" for name in SCORES)
"""Of boundary.csv, beside the scores that are not of DAVIS."""


class DavisMeasure(LimitMeasure[float]):
    """Boundary F of DAVIS within ``eval.davis_tolerances``."""

    name = "davis_boundary"
    files = ("boundary.csv",)
    listed_in = "davis_tolerances"

    def shapes(self, num_classes: int, overlaps: bool) -> dict[str, tuple[int, ...]]:
        """``(D, K, 4)``, and every tolerance in pixels of this image."""
        number = len(self.limits)
        return {"davis": (number, num_classes, NUM_DAVIS_COUNTS), "davis_distances": (number,)}

    def count(self, pair: Pair) -> dict[str, NDArray[np.int64]]:
        """Count the pixels of outlines."""
        maps = pair.prediction, pair.truth, pair.num_classes
        counts = [pair.measures.davis(*maps, tolerance) for tolerance in self.limits]
        slacks = [davis_slack(*pair.size, tolerance) for tolerance in self.limits]
        empty = np.zeros((0, pair.num_classes, NUM_DAVIS_COUNTS), np.int64)
        return {
            "davis": np.stack(counts) if counts else empty,
            "davis_distances": np.array(slacks, np.int64),
        }

    def summarize(self, counted: SplitCounts) -> dict[str, object]:
        """Average F, precision and recall over the images."""
        if not self.limits:
            return {"davis_boundary": None}
        by_class = _scores(counted).mean(axis=0)  # (D, K, 3)
        pixels = np.median(counted.stack("davis_distances"), axis=0)
        tolerances = [
            {
                "tolerance": tolerance,
                "pixels": int(pixels[d]),
                **_named(by_class[d].mean(axis=0)),
                "per_class": [
                    {"name": name, **_named(by_class[d, k])}
                    for k, name in enumerate(counted.classes)
                ],
            }
            for d, tolerance in enumerate(self.limits)
        ]
        return {"davis_boundary": {"definition": DAVIS_DEFINITION, "tolerances": tolerances}}

    def scores(self, counted: SplitCounts) -> Sequence[ScoreGroup]:
        """Return the mean F at every tolerance."""
        if not self.limits:
            return ()
        f = _scores(counted)[..., 0].mean(axis=-1)  # (N, D)
        # A draw of whole groups holds more or fewer images than there are, so they are counted too.
        weighted = np.concatenate([f, np.ones((len(f), 1))], axis=1)
        names = [f"davisF@{tolerance:g}" for tolerance in self.limits]
        return (ScoreGroup(names, weighted, _mean, is_compared=False),)

    @classmethod
    def tables(cls, metrics: Mapping[str, Any]) -> dict[str, Table]:
        """Write a row per tolerance for all classes, and one for each."""
        part = metrics["davis_boundary"]
        if not part:
            return {}
        rows = [
            {
                "tolerance": group["tolerance"],
                "pixels": group["pixels"],
                "class": entry["name"],
                **{column: entry[key] for column, key in zip(COLUMNS, SCORES, strict=True)},
            }
            for group in part["tolerances"]
            for entry in ({**group, "name": "all"}, *group["per_class"])
        ]
        return {"boundary.csv": Table([*BOUNDARY_COLUMNS, *COLUMNS], rows)}

    @classmethod
    def section(cls, metrics: Mapping[str, Any]) -> Shown | None:
        """Show the tolerances."""
        if not metrics["davis_boundary"]:
            return None
        rows = [
            (
                tolerance_words(row),
                row["F"],
                metrics["intervals"].get(f"davisF@{row['tolerance']:g}", ""),
                row["precision"],
                row["recall"],
            )
            for row in metrics["davis_boundary"]["tolerances"]
        ]
        return Shown("boundary of DAVIS within", ["F", "95 %", "precision", "recall"], rows)


def _scores(counted: SplitCounts) -> NDArray[np.float64]:
    """Score every image by itself: ``(N, D, K, 3)``."""
    return davis_boundary_f(counted.stack("davis"))


def _mean(sums: Numbers) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = sums[:, :-1] / sums[:, -1:]
    return mean


def _named(values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(SCORES, map(float, values), strict=True))
