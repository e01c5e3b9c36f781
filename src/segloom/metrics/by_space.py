"""The measures of label maps by what their values mean (`segloom.labels.space`).

Axes: N images, K classes, S size buckets, T tolerances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.metrics.boundary import count_boundary
from segloom.metrics.confusion import count_confusion
from segloom.metrics.davis_boundary import davis_boundary_counts
from segloom.metrics.multilabel import (
    MULTILABEL_NAMES,
    MULTILABEL_POLICY,
    count_tables,
    multilabel_boundary,
    multilabel_davis,
    multilabel_scores,
    multilabel_sizes,
)
from segloom.metrics.scores import (
    POLICY,
    SUMMARY_NAMES,
    Scores,
    class_totals,
    scores,
    scores_of_totals,
)
from segloom.metrics.size_buckets import count_sizes

__all__ = ["Measures", "measures_of"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Measures:
    """What is counted in a prediction and its truth, and the scores that follow."""

    mode: str
    """As in metrics.json."""
    key: str
    """Name of the counts of the labels in a file."""
    count: Callable[[NDArray[np.integer], NDArray[np.integer], int], Counts]
    """Counts of the labels of an image, which add: ``(K, K)`` or ``(K, 2, 2)``."""
    shape: Callable[[int], tuple[int, ...]]
    """Of these counts, from K."""
    sizes: Callable[..., Counts]
    """``(K, S, 5)``."""
    boundary: Callable[..., Counts]
    """``(T, K, 7)``."""
    davis: Callable[..., Counts]
    """``(K, 4)``."""
    scores: Callable[[Any], Scores]
    """Of summed counts."""
    names: tuple[str, ...]
    """The summary scores, in the order in which they are shown."""
    policy: str
    """The averaging rule."""
    compact: Callable[[Counts], Counts]
    """The least of the counts of images ``(N, ...)`` that gives every score."""
    compact_scores: Callable[[Any], Scores]
    """Of such counts."""


EXCLUSIVE = Measures(
    mode="multiclass",
    key="confusion",
    count=count_confusion,
    shape=lambda num_classes: (num_classes, num_classes),
    sizes=count_sizes,
    boundary=count_boundary,
    davis=davis_boundary_counts,
    scores=scores,
    names=SUMMARY_NAMES,
    policy=POLICY,
    compact=class_totals,  # K times smaller than the matrix
    compact_scores=scores_of_totals,
)
OVERLAPPING = Measures(
    mode="multilabel",
    key="tables",
    count=count_tables,
    shape=lambda num_classes: (num_classes, 2, 2),
    sizes=multilabel_sizes,
    boundary=multilabel_boundary,
    davis=multilabel_davis,
    scores=multilabel_scores,
    names=MULTILABEL_NAMES,
    policy=MULTILABEL_POLICY,
    compact=lambda tables: tables,
    compact_scores=multilabel_scores,
)


def measures_of(overlaps: bool) -> Measures:
    """Return the measures of classes that overlap, or of those that exclude each other."""
    return {False: EXCLUSIVE, True: OVERLAPPING}[overlaps]
