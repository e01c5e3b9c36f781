"""IoU and recall by object size, see `segloom.metrics.size_buckets`."""

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
from segloom.metrics.scores import Numbers
from segloom.metrics.size_buckets import (
    NUM_SIZE_COUNTS,
    SIZE_DEFINITION,
    SizeScores,
    bucket_names,
    size_scores,
)

__all__ = ["SizeMeasure"]


class SizeMeasure(LimitMeasure[int]):
    """Objects of every size, between the areas ``eval.size_limits``."""

    name = "size"
    files = ("size.csv",)
    listed_in = "size_limits"

    def shapes(self, num_classes: int, overlaps: bool) -> dict[str, tuple[int, ...]]:
        """``(K, S, 5)``."""
        return {"size": (num_classes, len(self.limits) + 1, NUM_SIZE_COUNTS)}

    def count(self, pair: Pair) -> dict[str, NDArray[np.int64]]:
        """Count objects and their pixels."""
        if not self.limits:
            return {"size": np.zeros((pair.num_classes, 1, NUM_SIZE_COUNTS), np.int64)}
        maps = pair.prediction, pair.truth
        return {"size": pair.measures.sizes(*maps, pair.num_classes, self.limits)}

    def summarize(self, counted: SplitCounts) -> dict[str, object]:
        """Return IoU and recall of every bucket, of all classes and of each."""
        if not self.limits:
            return {"size": None}
        counts = counted.sum("size")
        result = size_scores(counts)
        buckets = [
            {
                "name": name,
                "num_objects": int(counts[:, s, 0].sum()),
                "IoU": number_or_none(result.mean_iou[s]),
                "recall": number_or_none(result.recall[s]),
                "per_class": _by_class(counts, result, s, counted.classes),
            }
            for s, name in enumerate(bucket_names(self.limits))
        ]
        part = {"definition": SIZE_DEFINITION, "limits": list(self.limits), "buckets": buckets}
        return {"size": part}

    def scores(self, counted: SplitCounts) -> Sequence[ScoreGroup]:
        """Return IoU and recall of every bucket."""
        if not self.limits:
            return ()
        buckets = bucket_names(self.limits)
        names = [f"{score}.size {name}" for score in ("IoU", "recall") for name in buckets]
        return (ScoreGroup(names, counted.stack("size"), _columns),)

    @classmethod
    def tables(cls, metrics: Mapping[str, Any]) -> dict[str, Table]:
        """Write a row per bucket for all classes, and one for each."""
        rows: list[dict[str, Any]] = []
        for bucket in (metrics["size"] or {"buckets": ()})["buckets"]:
            groups = [{**bucket, "name": "all"}, *bucket["per_class"]]
            rows += [
                {
                    "bucket": bucket["name"],
                    "class": group["name"],
                    **{key: group[key] for key in ("num_objects", "IoU", "recall")},
                }
                for group in groups
            ]
        return {"size.csv": Table(["bucket", "class", "num_objects", "IoU", "recall"], rows)}

    @classmethod
    def section(cls, metrics: Mapping[str, Any]) -> Shown | None:
        """Show the buckets."""
        if not metrics["size"]:
            return None
        rows = [
            (
                row["name"],
                row["num_objects"],
                row["IoU"],
                metrics["intervals"].get(f"IoU.size {row['name']}", ""),
                row["recall"],
            )
            for row in metrics["size"]["buckets"]
        ]
        return Shown("object size", ["objects", "IoU", "95 %", "recall"], rows)


def _by_class(
    counts: Numbers, result: SizeScores, bucket: int, classes: Sequence[str]
) -> list[dict[str, object]]:
    return [
        {
            "name": label,
            "num_objects": int(counts[k, bucket, 0]),
            "IoU": number_or_none(result.iou[bucket, k]),
            "recall": number_or_none(result.class_recall[bucket, k]),
        }
        for k, label in enumerate(classes)
    ]


def _columns(counts: Numbers) -> NDArray[np.float64]:
    result = size_scores(counts)
    return np.concatenate([result.mean_iou, result.recall], axis=-1)
