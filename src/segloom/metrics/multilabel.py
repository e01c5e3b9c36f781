"""Scores of classes that may overlap: per class one table of yes and no over the whole data set.

A pixel of K classes is K answers. Per class they are counted in a 2 x 2 table, rows truth, columns
prediction, no before yes: TN, FP, FN, TP. IoU, Dice, precision and recall of a class follow from
its table as from a confusion matrix, and means are over classes. Label maps are those of
`segloom.label_bits`.

Axes: B batch, H height, W width, K classes, S size buckets, T tolerances, ``...`` leading axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torchmetrics import Metric

from segloom.label_bits import check_number, class_map
from segloom.metrics.boundary import count_boundary
from segloom.metrics.confusion import check_labels, count_confusion, to_uint8
from segloom.metrics.davis_boundary import davis_boundary_counts
from segloom.metrics.scores import Scores, mean_present, ratio
from segloom.metrics.size_buckets import count_sizes

__all__ = [
    "MULTILABEL_NAMES",
    "MULTILABEL_POLICY",
    "MultilabelTables",
    "count_tables",
    "multilabel_boundary",
    "multilabel_scores",
    "multilabel_sizes",
]

MULTILABEL_POLICY = (
    "Classes may overlap: each is scored by itself, yes or no at every pixel (yes from a "
    "probability of a half), from one table over all images. Void pixels (255 in the truth) are "
    "not counted for any class. A class that occurs neither in the truth nor in the prediction has "
    "no score and is left out of the mean, a class that is only predicted has IoU 0. aAcc is the "
    "share of right answers over all classes and pixels."
)
"""The averaging rule, printed wherever a score is."""

MULTILABEL_NAMES = ("mIoU", "aAcc", "mAcc", "mDice")
"""The scores of all tables, in the order in which they are shown."""

Labels = NDArray[np.uint8]
Integers = NDArray[np.int64]


def count_tables(prediction: Labels, truth: Labels, num_classes: int) -> Integers:
    """Count the answers for every class.

    Args:
        prediction: uint8, any shape, bits; anything where the truth is void.
        truth: uint8, the same shape, bits and 255 for void, which is not counted.
        num_classes: K, 1 to 7.

    Returns:
        int64 ``(K, 2, 2)``: class, truth, prediction.

    Raises:
        DataError: As `segloom.metrics.confusion.check_labels`, for a bit of no class.
    """
    return _per_class(prediction, truth, num_classes, lambda p, t: count_confusion(p, t, 2))


def multilabel_sizes(
    prediction: Labels, truth: Labels, num_classes: int, limits: Sequence[int]
) -> Integers:
    """Count objects by size ``(K, S, 5)``, each class against the rest; see `count_sizes`."""
    return _per_class(prediction, truth, num_classes, lambda p, t: count_sizes(p, t, 2, limits)[1])


def multilabel_boundary(
    prediction: Labels, truth: Labels, num_classes: int, tolerances: Sequence[float]
) -> Integers:
    """Count outlines ``(T, K, 7)``, each class against the rest; see `count_boundary`."""
    counts = _per_class(
        prediction, truth, num_classes, lambda p, t: count_boundary(p, t, 2, tolerances)[:, 1]
    )
    return np.moveaxis(counts, 0, 1)


def multilabel_davis(
    prediction: Labels, truth: Labels, num_classes: int, tolerance: float
) -> Integers:
    """Count outlines ``(K, 4)``, each class against the rest; see `davis_boundary_counts`."""
    return _per_class(
        prediction, truth, num_classes, lambda p, t: davis_boundary_counts(p, t, 2, tolerance)[1]
    )


def _per_class(
    prediction: Labels, truth: Labels, num_classes: int, count: Callable[[Labels, Labels], Integers]
) -> Integers:
    """Stack what a function counts in the binary maps of every class."""
    prediction = check_labels(prediction, truth, 2**num_classes)
    maps = ((class_map(prediction, k), class_map(truth, k)) for k in range(num_classes))
    return np.stack([count(*pair) for pair in maps])


def multilabel_scores(tables: ArrayLike) -> Scores:
    """Score tables ``(..., K, 2, 2)`` of one image or summed over many, array or tensor."""
    counts = np.asarray(tables)
    correct, truth = counts[..., 1, 1], counts[..., 1, :].sum(-1)
    predicted, everything = counts[..., :, 1].sum(-1), counts.sum((-2, -1))
    right = correct + counts[..., 0, 0]
    iou, dice = ratio(correct, truth + predicted - correct), ratio(2 * correct, truth + predicted)
    recall = ratio(correct, truth)
    return Scores(
        mIoU=mean_present(iou),
        aAcc=ratio(right.sum(-1), everything.sum(-1)),
        mAcc=mean_present(recall),
        mDice=mean_present(dice),
        fwIoU=np.full(iou.shape[:-1], np.nan),  # shares of the truth do not add up to 1
        IoU=iou,
        accuracy=recall,
        precision=ratio(correct, predicted),
        Dice=dice,
        pixels=ratio(truth, everything),
    )


class MultilabelTables(Metric):
    """The data-set tables as a torchmetrics metric; they add over DDP processes.

    Args:
        num_classes: K, 1 to 7.

    Raises:
        ConfigError: ``num_classes`` is out of range.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    tables: Tensor

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_number(num_classes)
        self.num_classes = num_classes
        empty = torch.zeros((num_classes, 2, 2), dtype=torch.int64)
        self.add_state("tables", default=empty, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch: integers ``(B, H, W)``, bits, and 255 for void in the target.

        Raises:
            DataError: A bit of no class, or a value outside 0 to 255.
        """
        counts = count_tables(to_uint8(prediction), to_uint8(target), self.num_classes)
        self.tables += torch.from_numpy(counts).to(self.tables.device)

    def compute(self) -> Tensor:
        """Return int64 ``(K, 2, 2)``: class, truth, prediction."""
        return self.tables
