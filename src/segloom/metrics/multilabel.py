"""Scores of classes that may overlap: per class one table of yes and no over the whole data set.

A pixel of K classes is K answers. Per class they are counted in a 2 x 2 table, rows truth, columns
prediction, no before yes: TN, FP, FN, TP. IoU, Dice, precision and recall of a class follow from
its table as from a confusion matrix, and means are over classes. Label maps are those of
`segloom.labels.bits`.

Axes: B batch, H height, W width, K classes, S size buckets, T tolerances, ``...`` leading axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segloom.errors import DataError
from segloom.labels.bits import class_map, label_type, stray_bits
from segloom.metrics.boundary import count_boundary
from segloom.metrics.confusion import check_labels, count_confusion
from segloom.metrics.davis_boundary import davis_boundary_counts
from segloom.metrics.scores import Scores, mean_present, ratio
from segloom.metrics.size_buckets import count_sizes
from segloom.types import IGNORE_INDEX

__all__ = [
    "MULTILABEL_NAMES",
    "MULTILABEL_POLICY",
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

Labels = NDArray[np.integer]
"""Bits, of `segloom.labels.bits.label_type`."""
Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]


def count_tables(prediction: Labels, truth: Labels, num_classes: int) -> Integers:
    """Count the answers for every class.

    Args:
        prediction: Any shape, bits; anything where the truth is void.
        truth: The same shape and dtype, bits and 255 for void, which is not counted.
        num_classes: K, 1 to 55.

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
    prediction: Labels, truth: Labels, num_classes: int, count: Callable[[Bytes, Bytes], Integers]
) -> Integers:
    """Stack what a function counts in the binary maps of every class."""
    prediction = _check_bits(prediction, truth, num_classes)
    maps = [
        (class_map(prediction, k, num_classes), class_map(truth, k, num_classes))
        for k in range(num_classes)
    ]
    return np.stack([count(*pair) for pair in maps])


def _check_bits(prediction: Labels, truth: Labels, num_classes: int) -> Labels:
    """Do for bits what `check_labels` does for class ids, which those of a byte are to it."""
    wanted = label_type(num_classes)
    if wanted == "uint8":
        return check_labels(prediction, truth, 2**num_classes)
    if prediction.shape != truth.shape:
        raise DataError(
            f"prediction and truth must have one shape; got {prediction.shape} and {truth.shape}."
        )
    if not prediction.dtype == truth.dtype == wanted:
        raise DataError(
            f"label maps of {num_classes} classes that may overlap are {wanted}; got "
            f"{prediction.dtype} and {truth.dtype}."
        )
    known = truth != IGNORE_INDEX
    for name, labels in (("truth", truth), ("prediction", prediction)):
        if (stray := stray_bits(labels, num_classes) & known).any():
            raise DataError(
                f"the {name} holds the label {labels[stray][0]}, which is no set of "
                f"{num_classes} classes that may overlap."
            )
    return np.where(known, prediction, prediction.dtype.type(0))


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
