"""Boundary F as DAVIS defines it, which papers on Cityscapes report.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation",
CVPR 2016, after Martin, Fowlkes, Malik, PAMI 2004; per class on Cityscapes as Takikawa et al.,
"Gated-SCNN", ICCV 2019, and the code of SFNet (X. Li et al., ECCV 2020).

It differs from `segloom.metrics.boundary`: a boundary pixel is one whose right, lower or lower
right neighbour is on the other side, so that outlines lie half a pixel to the upper left and on
both sides of a class; void counts as outside of every class; the slack is rounded up; and every
image has a score, 1 where neither map has the class.

Axes: H height, W width, K classes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segloom.metrics.boundary import bit_table, spread
from segloom.metrics.confusion import check_labels
from segloom.metrics.scores import Numbers
from segloom.types import IGNORE_INDEX

__all__ = [
    "DAVIS_DEFINITION",
    "NUM_DAVIS_COUNTS",
    "davis_boundary_counts",
    "davis_boundary_f",
    "davis_slack",
]

BITS = 64
NUM_DAVIS_COUNTS = 4

DAVIS_DEFINITION = (
    "Boundary F of DAVIS (Perazzi et al., CVPR 2016), as papers on Cityscapes report it: of every "
    "class in every image, precision is the share of the predicted outline, and recall the share "
    "of the true one, that lies within the tolerance of the other; F is their harmonic mean, 1 "
    "where neither map has the class, so rare classes score high. Void is outside of every class. "
    "The F of a class is the mean over the images, the F of all the mean over the classes."
)
"""Printed beside the numbers."""


def davis_boundary_counts(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], num_classes: int, tolerance: float
) -> NDArray[np.int64]:
    """Count the boundary pixels of every class in one image.

    Args:
        prediction: uint8 ``(H, W)``, class ids; anything where the truth is void.
        truth: uint8 ``(H, W)``, class ids and 255 for void.
        num_classes: K.
        tolerance: Slack: below 1 a share of the image diagonal, rounded up; else pixels.

    Returns:
        int64 ``(K, 4)``: boundary of the truth, of it met; boundary of the prediction, of it met.

    Raises:
        DataError: As `segloom.metrics.confusion.check_labels`.
    """
    prediction = check_labels(prediction, truth, num_classes)
    prediction = np.where(truth == IGNORE_INDEX, np.uint8(IGNORE_INDEX), prediction)
    radius = davis_slack(truth.shape[0], truth.shape[1], tolerance)
    counts = np.zeros((num_classes, 4), np.int64)
    for first in range(0, num_classes, BITS):
        last = min(first + BITS, num_classes)
        table = bit_table(first, last)
        true, predicted = _boundaries(truth, table), _boundaries(prediction, table)
        maps = (true, true & spread(predicted, radius), predicted, predicted & spread(true, radius))
        for column, bits in enumerate(maps):
            set_bits = bits[bits != 0]
            for label in range(first, last):
                counts[label, column] = np.count_nonzero(set_bits & table[label])
    return counts


def davis_slack(height: int, width: int, tolerance: float) -> int:
    """Give a tolerance in pixels of an image: below 1 it is a share of the diagonal; rounded up."""
    return math.ceil(tolerance * math.hypot(height, width) if tolerance < 1 else tolerance)


def davis_boundary_f(counts: Numbers) -> NDArray[np.float64]:
    """Score counts ``(..., K, 4)`` of one image.

    Returns:
        float64 ``(..., K, 3)``: F, precision and recall. Where only one map has the class, F is 0;
        where neither has it, all three are 1.
    """
    true, met_true, predicted, met_predicted = np.moveaxis(counts.astype(np.float64), -1, 0)
    # Nothing predicted is nothing wrong, and nothing there is nothing missed.
    precision = np.where(predicted > 0, met_predicted / np.maximum(predicted, 1), 1.0)
    recall = np.where(true > 0, met_true / np.maximum(true, 1), 1.0)
    total = precision + recall
    f = np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1.0), 0.0)
    return np.stack([f, precision, recall], axis=-1)


def _boundaries(labels: NDArray[np.uint8], table: NDArray[np.integer]) -> NDArray[np.integer]:
    """Mark at every pixel, one bit per class, the classes whose boundary it is ``(H, W)``."""
    own = table[labels]
    marks = np.zeros_like(own)
    height, width = labels.shape
    for down, right in ((0, 1), (1, 0), (1, 1)):
        here = (slice(height - down), slice(width - right))
        there = (slice(down, None), slice(right, None))
        # Of two neighbours with different labels the first is on the boundary of both classes.
        marks[here] |= np.where(labels[here] != labels[there], own[here] | own[there], 0)
    return marks
