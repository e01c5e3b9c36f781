"""Right and wrong pixels by class: IoU, accuracy, precision, Dice and their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.measures.base import (
    Measure,
    Pair,
    ScoreGroup,
    Shown,
    SplitCounts,
    Table,
    number_or_none,
)
from segloom.metrics import Scores
from segloom.metrics.by_space import Measures, measures_of
from segloom.metrics.scores import Numbers

__all__ = ["LabelMeasure"]

CLASS_SCORES = ("IoU", "accuracy", "precision", "Dice", "pixels")


class LabelMeasure(Measure):
    """Counts every pixel by its true and its predicted class; always on."""

    name = "labels"
    files = ("confusion.csv", "tables.csv")

    @classmethod
    def configured(cls, config: EvalConfig) -> LabelMeasure:
        """Make it."""
        return cls()

    def shapes(self, num_classes: int, overlaps: bool) -> dict[str, tuple[int, ...]]:
        """``(K, K)``, or ``(K, 2, 2)`` where classes overlap."""
        measures = measures_of(overlaps)
        return {measures.key: measures.shape(num_classes)}

    def count(self, pair: Pair) -> dict[str, NDArray[np.int64]]:
        """Count the pixels."""
        measures = pair.measures
        return {measures.key: measures.count(pair.prediction, pair.truth, pair.num_classes)}

    def summarize(self, counted: SplitCounts) -> dict[str, object]:
        """Give scores of the split and of every class, the counts, and how classes are averaged."""
        measures = counted.images[0].measures
        matrix = counted.sum(measures.key)
        result = measures.scores(matrix)
        return {
            "mode": measures.mode,
            "scores": {name: number_or_none(getattr(result, name)) for name in measures.names},
            "per_class": [
                {
                    "name": name,
                    **{key: number_or_none(getattr(result, key)[k]) for key in CLASS_SCORES},
                }
                for k, name in enumerate(counted.classes)
            ],
            measures.key: matrix.tolist(),
            "policy": measures.policy,
        }

    def scores(self, counted: SplitCounts) -> Sequence[ScoreGroup]:
        """Return the scores of the split and the IoU of every class."""
        measures = counted.images[0].measures
        totals = measures.compact(counted.stack(measures.key))
        names = [*measures.names, *(f"IoU.{name}" for name in counted.classes)]
        return (ScoreGroup(names, totals, partial(_columns, measures=measures)),)

    @classmethod
    def tables(cls, metrics: Mapping[str, Any]) -> dict[str, Table]:
        """Write the confusion matrix, or where classes overlap a table per class."""
        classes: list[str] = metrics["classes"]
        if "tables" in metrics:
            rows = [
                {"class": name, "TN": no[0], "FP": no[1], "FN": yes[0], "TP": yes[1]}
                for name, (no, yes) in zip(classes, metrics["tables"], strict=True)
            ]
            return {"tables.csv": Table(["class", "TN", "FP", "FN", "TP"], rows)}
        rows = [
            {"truth": name, **dict(zip(classes, counts, strict=True))}
            for name, counts in zip(classes, metrics["confusion"], strict=True)
        ]
        return {"confusion.csv": Table(["truth", *classes], rows)}

    @classmethod
    def section(cls, metrics: Mapping[str, Any]) -> Shown:
        """Show the scores of every class."""
        recall = "recall" if metrics["mode"] == measures_of(True).mode else "accuracy"
        rows = [
            (
                row["name"],
                row["IoU"],
                metrics["intervals"].get(f"IoU.{row['name']}", ""),
                *(row[key] for key in CLASS_SCORES[1:]),
            )
            for row in metrics["per_class"]
        ]
        return Shown("class", ["IoU", "95 %", recall, "precision", "Dice", "pixels"], rows)


def _columns(totals: Numbers, measures: Measures) -> NDArray[np.float64]:
    result: Scores = measures.compact_scores(totals)
    summary = np.stack([getattr(result, name) for name in measures.names], axis=-1)
    return np.concatenate([summary, result.IoU], axis=-1)
