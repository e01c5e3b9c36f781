"""Scores that follow from a confusion matrix: IoU, accuracies, Dice, precision.

All of them need only three numbers per class, its *totals*: correct pixels (TP), truth pixels
(TP + FN) and predicted pixels (TP + FP). ``IoU = TP / (TP + FP + FN)`` and its mean over classes is
the Cityscapes definition (Cordts et al., CVPR 2016, section 3.3). The functions work on any number
of matrices at once, which is what the bootstrap needs.

Axes: K classes, ``...`` any leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segloom.errors import DataError

__all__ = [
    "POLICY",
    "SUMMARY_NAMES",
    "Numbers",
    "Scores",
    "class_totals",
    "mean_present",
    "ratio",
    "scores",
    "scores_of_totals",
]

POLICY = (
    "Void pixels (255 in the truth) are not counted, whatever is predicted there; void is never "
    "predicted. Scores come from one confusion matrix over all images; a class that occurs neither "
    "in the truth nor in the prediction has no score and is left out of the mean, a class that is "
    "only predicted has IoU 0."
)
"""The void rule and the averaging rule, printed wherever a score is."""

SUMMARY_NAMES = ("mIoU", "aAcc", "mAcc", "mDice", "fwIoU")
"""The scores of a whole matrix, in the order in which they are shown."""

Array = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.integer] | NDArray[np.float64]
"""Counts, or their sums over resamples."""


@dataclass(frozen=True)
class Scores:
    """Scores of one matrix (or of a stack of matrices: every field then has leading axes).

    All are shares from 0 to 1, float64; NaN where a score does not exist.
    """

    mIoU: Array
    """Mean of `IoU` over the classes that occur."""
    aAcc: Array
    """Share of all counted pixels that are right."""
    mAcc: Array
    """Mean of `accuracy` over the classes of the truth."""
    mDice: Array
    """Mean of `Dice` over the classes that occur."""
    fwIoU: Array
    """Mean of `IoU` weighted by the share of the class in the truth."""
    IoU: Array
    """``(..., K)`` TP / (TP + FP + FN)."""
    accuracy: Array
    """``(..., K)`` recall, TP / (TP + FN)."""
    precision: Array
    """``(..., K)`` TP / (TP + FP)."""
    Dice: Array
    """``(..., K)`` 2 TP / (2 TP + FP + FN), the F1 score of the pixels."""
    pixels: Array
    """``(..., K)`` share of the counted truth pixels."""

    def summary(self) -> dict[str, float]:
        """Return the scores of the whole matrix by name."""
        return {name: float(getattr(self, name)) for name in SUMMARY_NAMES}


def class_totals(matrix: ArrayLike) -> NDArray[np.int64]:
    """Sum confusion matrices ``(..., K, K)`` to int64 ``(..., K, 3)``: TP, truth, predicted."""
    counts = np.asarray(matrix, dtype=np.int64)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise DataError(f"a confusion matrix is square; got the shape {counts.shape}.")
    correct = np.diagonal(counts, axis1=-2, axis2=-1)
    return np.stack([correct, counts.sum(-1), counts.sum(-2)], axis=-1)


def scores(matrix: ArrayLike) -> Scores:
    """Score confusion matrices ``(..., K, K)``: rows truth, columns prediction; array or tensor."""
    return scores_of_totals(class_totals(matrix))


def scores_of_totals(totals: Numbers) -> Scores:
    """Score class totals ``(..., K, 3)``, as `class_totals` gives them, or sums of them."""
    correct, truth, predicted = totals[..., 0], totals[..., 1], totals[..., 2]
    iou = ratio(correct, truth + predicted - correct)
    dice = ratio(2 * correct, truth + predicted)
    accuracy = ratio(correct, truth)
    everything = truth.sum(-1)
    share = ratio(truth, everything[..., None])
    weighted = np.where(truth > 0, share * np.nan_to_num(iou), 0.0).sum(-1)
    return Scores(
        mIoU=mean_present(iou),
        aAcc=ratio(correct.sum(-1), everything),
        mAcc=mean_present(accuracy),
        mDice=mean_present(dice),
        fwIoU=np.where(everything > 0, weighted, np.nan),
        IoU=iou,
        accuracy=accuracy,
        precision=ratio(correct, predicted),
        Dice=dice,
        pixels=share,
    )


def ratio(numerator: Numbers, denominator: Numbers) -> Array:
    """Divide; NaN where the denominator is 0."""
    numerator = np.asarray(numerator, np.float64)
    denominator = np.asarray(denominator, np.float64)
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    quotient = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def mean_present(values: Array) -> Array:
    """Average over the last axis, leaving NaN out; NaN where nothing is left."""
    present = ~np.isnan(values)
    return ratio(np.where(present, values, 0.0).sum(-1), present.sum(-1))
