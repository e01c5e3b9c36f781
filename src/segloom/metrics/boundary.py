"""How well the outlines of the classes are met: boundary IoU and boundary F.

Boundary IoU: Cheng, Girshick, Dollar, Berg, Kirillov, "Boundary IoU: Improving Object-Centric Image
Segmentation Evaluation", CVPR 2021: the IoU of the pixels within d of the outline of either mask.
Boundary F: Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic
segmentation?", BMVC 2013: precision and recall of the outline pixels with a slack of d.

Differences: all classes are measured on the label map at once (a pixel lies in the band of its
class where the lowest and the highest label around it differ), which gives the counts of the
per-class definition; void is neither inside nor outside of a class; counts are summed over the
images before they are divided, so that no image without a class needs a special rule.

Axes: H height, W width, K classes, T tolerances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segloom.metrics.confusion import check_labels, histogram
from segloom.metrics.scores import Numbers, mean_present, ratio
from segloom.types import IGNORE_INDEX

__all__ = [
    "BOUNDARY_DEFINITION",
    "NUM_BOUNDARY_COUNTS",
    "BoundaryScores",
    "bit_table",
    "boundary_scores",
    "count_boundary",
    "spread",
    "tolerance_pixels",
]

BOUNDARY_DEFINITION = (
    "d is the tolerance times the diagonal of the image, rounded, at least 1 pixel. bIoU (Cheng et "
    "al. 2021): the band of a class is those of its pixels that have a pixel of another class, or "
    "the edge of the image, within d (square neighbourhood); bIoU is the IoU of the true and the "
    "predicted band. bF (Csurka et al. 2013): the contour of a class is those of its pixels that "
    "touch another class (4 neighbours); a contour pixel is met if the other map has a contour "
    "pixel of the same class within d (Euclidean); bF is the harmonic mean of the shares of met "
    "predicted and met true contour pixels. Void pixels are removed from both maps first: they "
    "are not counted and make no boundary. Counts are summed over all images per class, and "
    "scores averaged over the classes that have a band or a contour."
)
"""What the numbers mean, for the reader of a report."""

NUM_BOUNDARY_COUNTS = 7
"""Per class: band in both, true band, predicted band; true contour, met; predicted contour, met."""

_BAND_BOTH, _BAND_TRUE, _BAND_PREDICTED = 0, 1, 2
_CONTOUR_TRUE, _MET_TRUE, _CONTOUR_PREDICTED, _MET_PREDICTED = 3, 4, 5, 6
_BITS = 64

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Outline(NamedTuple):
    """The contour pixels of a label map."""

    places: NDArray[np.int64]
    """``(N,)`` flat indices."""
    classes: Labels
    """``(N,)`` labels there."""


@dataclass(frozen=True)
class BoundaryScores:
    """Shares from 0 to 1, float64; NaN where a class has no boundary; ``...`` leading axes."""

    mean_iou: NDArray[np.float64]
    """``(..., T)`` mean of `iou` over the classes."""
    mean_f: NDArray[np.float64]
    """``(..., T)`` mean of `f` over the classes."""
    iou: NDArray[np.float64]
    """``(..., T, K)`` boundary IoU."""
    f: NDArray[np.float64]
    """``(..., T, K)`` boundary F."""


def tolerance_pixels(height: int, width: int, tolerance: float) -> int:
    """Return d in pixels: ``tolerance`` as a share of the diagonal, rounded, at least 1."""
    return max(1, round(tolerance * math.hypot(height, width)))


def count_boundary(
    prediction: Labels, truth: Labels, num_classes: int, tolerances: Sequence[float]
) -> NDArray[np.int64]:
    """Count band and contour pixels of one image.

    Args:
        prediction: uint8 ``(H, W)``, class ids; anything where the truth is void.
        truth: uint8 ``(H, W)``, class ids and 255 for void.
        num_classes: K.
        tolerances: T shares of the image diagonal.

    Returns:
        int64 ``(T, K, 7)``: band in both maps, in the truth, in the prediction; contour of the
        truth, of it met; contour of the prediction, of it met. Counts add over images.

    Raises:
        DataError: As `segloom.metrics.confusion.check_labels`.
    """
    prediction = check_labels(prediction, truth, num_classes)
    counts = np.zeros((len(tolerances), num_classes, NUM_BOUNDARY_COUNTS), np.int64)
    if truth.size == 0 or not tolerances:
        return counts
    prediction = np.where(truth == IGNORE_INDEX, np.uint8(IGNORE_INDEX), prediction)
    true, predicted = _outline(truth), _outline(prediction)
    for row, tolerance in zip(counts, tolerances, strict=True):
        distance = tolerance_pixels(truth.shape[0], truth.shape[1], tolerance)
        _count_bands(row, prediction, truth, distance)
        _count_contours(row, true, predicted, truth.shape, distance)
    return counts


def boundary_scores(counts: Numbers) -> BoundaryScores:
    """Score counts ``(..., T, K, 7)`` of one image or summed over many."""
    both, true, predicted = (counts[..., index] for index in range(3))
    iou = ratio(both, true + predicted - both)
    contour_true, contour_predicted = counts[..., _CONTOUR_TRUE], counts[..., _CONTOUR_PREDICTED]
    recall = np.nan_to_num(ratio(counts[..., _MET_TRUE], contour_true))
    precision = np.nan_to_num(ratio(counts[..., _MET_PREDICTED], contour_predicted))
    harmonic = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    f = np.where(contour_true + contour_predicted > 0, harmonic, np.nan)
    return BoundaryScores(mean_present(iou), mean_present(f), iou, f)


def _count_bands(row: NDArray[np.int64], prediction: Labels, truth: Labels, distance: int) -> None:
    true_band, predicted_band = _band(truth, distance), _band(prediction, distance)
    agreed = true_band & predicted_band & (truth == prediction)
    row[:, _BAND_BOTH] = histogram(truth, len(row), agreed)
    row[:, _BAND_TRUE] = histogram(truth, len(row), true_band)
    row[:, _BAND_PREDICTED] = histogram(prediction, len(row), predicted_band)


def _band(labels: Labels, distance: int) -> Mask:
    """Find known pixels with another class or the image's edge within ``distance`` (square)."""
    import cv2

    side = 2 * distance + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    # Void must win neither the minimum (as 255 it cannot) nor the maximum (as 255 + 1 = 0 it
    # cannot); outside of the image is filled likewise and the edge added below.
    one = np.uint8(1)
    lowest = cv2.erode(labels, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=255)
    highest = cv2.dilate(labels + one, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    band: Mask = (lowest + one) != highest
    band[:distance] = band[-distance:] = True
    band[:, :distance] = band[:, -distance:] = True
    band &= labels != IGNORE_INDEX
    return band


def _contour(labels: Labels) -> Mask:
    """Find known pixels of which one of the 4 neighbours is of another known class."""
    known = labels != IGNORE_INDEX
    contour = np.zeros(labels.shape, np.bool_)
    across = (labels[:, 1:] != labels[:, :-1]) & known[:, 1:] & known[:, :-1]
    down = (labels[1:] != labels[:-1]) & known[1:] & known[:-1]
    contour[:, 1:] |= across
    contour[:, :-1] |= across
    contour[1:] |= down
    contour[:-1] |= down
    return contour


def _outline(labels: Labels) -> Outline:
    """Find the contour of a label map as flat indices and the classes there."""
    places = np.flatnonzero(_contour(labels))
    return Outline(places, labels.ravel()[places])


def _count_contours(
    row: NDArray[np.int64], true: Outline, predicted: Outline, shape: tuple[int, ...], distance: int
) -> None:
    length = len(row)
    row[:, _CONTOUR_TRUE] = np.bincount(true.classes, minlength=length)
    row[:, _CONTOUR_PREDICTED] = np.bincount(predicted.classes, minlength=length)
    met_true = np.zeros(true.places.shape, np.bool_)
    met_predicted = np.zeros(predicted.places.shape, np.bool_)
    for first in range(0, length, _BITS):
        bit = bit_table(first, min(first + _BITS, length))
        met_true |= _met(true, predicted, bit, shape, distance)
        met_predicted |= _met(predicted, true, bit, shape, distance)
    row[:, _MET_TRUE] = np.bincount(true.classes[met_true], minlength=length)
    row[:, _MET_PREDICTED] = np.bincount(predicted.classes[met_predicted], minlength=length)


def bit_table(first: int, last: int) -> NDArray[np.integer]:
    """Give each of the classes ``first..last - 1`` a bit of the smallest fitting integer."""
    kind = next(size for size in (8, 16, 32, 64) if size >= last - first)
    table = np.zeros(256, f"u{kind // 8}")
    table[first:last] = np.left_shift(1, np.arange(last - first, dtype=np.uint64)).astype(
        table.dtype
    )
    return table


def _met(
    outline: Outline,
    other: Outline,
    bit: NDArray[np.integer],
    shape: tuple[int, ...],
    distance: int,
) -> Mask:
    """Return which contour pixels have one of their class near by in the other map.

    Every class is one bit of a pixel, so that one dilation by OR serves up to 64 classes.
    """
    bits = np.zeros(shape, bit.dtype)
    bits.ravel()[other.places] = bit[other.classes]
    near = spread(bits, distance).ravel()[outline.places]
    found: Mask = (near & bit[outline.classes]) != 0
    return found


def spread(bits: NDArray[np.integer], radius: int) -> NDArray[np.integer]:
    """Dilate every bit of ``(H, W)`` by a Euclidean disc: ``dx^2 + dy^2 <= radius^2``."""
    spread = np.zeros_like(bits)
    row, reach = bits.copy(), 0  # `row` is `bits` spread sideways by `reach`
    for offset in range(radius, -1, -1):
        half = math.isqrt(radius * radius - offset * offset)
        while reach < half:
            reach += 1
            row[:, reach:] |= bits[:, :-reach]
            row[:, :-reach] |= bits[:, reach:]
        if offset == 0:
            spread |= row
        else:
            spread[offset:] |= row[:-offset]
            spread[:-offset] |= row[offset:]
    return spread
