"""How well objects of each size are found: IoU and recall in buckets of object area.

An object is a connected region of one class in the truth. Its correct pixels and its missed pixels
belong to its bucket. A false positive has no object of its own, so that every published
"small-object IoU" needs a rule; here it follows COCO's habit (Lin et al., "Microsoft COCO", ECCV
2014): a predicted region is judged with the object it claims, and one that claims none by its own
area. Every counted pixel therefore lands in exactly one bucket: summed over the buckets, the counts
are those of the confusion matrix.

Axes: H height, W width, K classes, S size buckets (one more than limits).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segloom.metrics.confusion import check_labels, histogram
from segloom.metrics.scores import Numbers, mean_present, ratio
from segloom.types import IGNORE_INDEX

__all__ = [
    "NUM_SIZE_COUNTS",
    "SIZE_DEFINITION",
    "SizeScores",
    "bucket_names",
    "count_sizes",
    "size_scores",
]

SIZE_DEFINITION = (
    "An object is an 8-connected region of one class in the truth, at the original image size; its "
    "bucket is that of its area in pixels as far as it is visible (cut by void and by the image's "
    "edge). TP and FN of a bucket are the right and the wrong pixels of its objects. A predicted "
    "region (8-connected, void removed) that overlaps objects of its class brings its false "
    "positives to the bucket of the object with the largest overlap (of equals, the largest "
    "object); one that overlaps none, to the bucket of its own area. IoU = TP / (TP + FP + FN) "
    "per class from sums over all images, averaged over the classes that have objects in the "
    "bucket. Recall is the share of a bucket's objects of which more than half of the pixels are "
    "right, over all classes together."
)
"""What the numbers mean, for the reader of a report."""

NUM_SIZE_COUNTS = 5
"""Per class and bucket: objects, found objects, truth pixels, true positives, false positives."""

_OBJECTS, _FOUND, _PIXELS, _CORRECT, _FALSE = range(NUM_SIZE_COUNTS)

Labels = NDArray[np.uint8]
Ids = NDArray[np.int32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class SizeScores:
    """Shares from 0 to 1, float64; NaN where a bucket has no object; ``...`` leading axes."""

    mean_iou: NDArray[np.float64]
    """``(..., S)`` mean of `iou` over the classes with objects in the bucket."""
    recall: NDArray[np.float64]
    """``(..., S)`` share of objects found, all classes together."""
    iou: NDArray[np.float64]
    """``(..., S, K)`` IoU of a class in a bucket."""
    class_recall: NDArray[np.float64]
    """``(..., S, K)`` share of the class's objects found."""


def bucket_names(limits: Sequence[int]) -> list[str]:
    """Name the buckets, smallest first: ``< 256 px``, ``256-1023 px``, ..., ``>= 4096 px``."""
    if not limits:
        return ["all"]
    between = [f"{low}-{high - 1} px" for low, high in pairwise(limits)]
    return [f"< {limits[0]} px", *between, f">= {limits[-1]} px"]


def count_sizes(
    prediction: Labels, truth: Labels, num_classes: int, limits: Sequence[int]
) -> Integers:
    """Count the objects and pixels of one image by class and object size.

    Args:
        prediction: uint8 ``(H, W)``, class ids; anything where the truth is void.
        truth: uint8 ``(H, W)``, class ids and 255 for void.
        num_classes: K.
        limits: Rising areas in pixels; an area equal to a limit is in the bucket above it.

    Returns:
        int64 ``(K, S, 5)``: objects, found objects, their pixels, correct pixels, false positives.
        Counts add over images.

    Raises:
        DataError: As `segloom.metrics.confusion.check_labels`.
    """
    prediction = check_labels(prediction, truth, num_classes)
    counts = np.zeros((num_classes, len(limits) + 1, NUM_SIZE_COUNTS), np.int64)
    if truth.size == 0:
        return counts
    claimed = np.where(truth == IGNORE_INDEX, np.uint8(IGNORE_INDEX), prediction)
    objects, object_class = _label_regions(truth, num_classes)
    regions, region_class = _label_regions(claimed, num_classes)
    area = np.bincount(objects.ravel(), minlength=len(object_class))
    region_area = np.bincount(regions.ravel(), minlength=len(region_class))
    object_of_pair, region_of_pair, overlap = _overlaps(objects, regions, truth == claimed)

    correct = _sum_by(object_of_pair, overlap, len(area))
    wrong = region_area - _sum_by(region_of_pair, overlap, len(region_area))
    claim = _claims(object_of_pair, region_of_pair, overlap, area, len(region_area))
    bucket = np.searchsorted(limits, area, side="right")
    judged_area = np.where(claim > 0, area[claim], region_area)
    region_bucket = np.searchsorted(limits, judged_area, side="right")

    # Id 0 is void in both id maps and counts nowhere.
    where = object_class[1:], bucket[1:]
    for index, values in (
        (_OBJECTS, np.ones_like(area)),
        (_FOUND, 2 * correct > area),
        (_PIXELS, area),
        (_CORRECT, correct),
    ):
        np.add.at(counts[..., index], where, values[1:])
    np.add.at(counts[..., _FALSE], (region_class[1:], region_bucket[1:]), wrong[1:])
    return counts


def size_scores(counts: Numbers) -> SizeScores:
    """Score counts ``(..., K, S, 5)`` of one image or summed over many."""
    counts = np.swapaxes(counts, -2, -3)  # (..., S, K, 5)
    objects, found = counts[..., _OBJECTS], counts[..., _FOUND]
    iou = ratio(counts[..., _CORRECT], counts[..., _PIXELS] + counts[..., _FALSE])
    iou = np.where(objects > 0, iou, np.nan)
    recall = ratio(found.sum(-1), objects.sum(-1))
    return SizeScores(mean_present(iou), recall, iou, ratio(found, objects))


def _label_regions(labels: Labels, num_classes: int) -> tuple[Ids, Integers]:
    """Number the 8-connected regions of equal labels from 1; void is 0.

    Returns:
        int32 ``(H, W)`` ids, and the class of every id (of id 0: 0).
    """
    import cv2

    ids = np.zeros(labels.shape, np.int32)
    classes = [0]
    present = np.flatnonzero(histogram(labels, num_classes))
    for label in present:
        mask = cv2.compare(labels, int(label), cv2.CMP_EQ)
        left, top, width, height = cv2.boundingRect(mask)
        window = slice(top, top + height), slice(left, left + width)
        number, part = cv2.connectedComponents(mask[window], connectivity=8, ltype=cv2.CV_32S)
        part += np.int32(len(classes) - 1)
        np.copyto(ids[window], part, where=mask[window] > 0)
        classes += [int(label)] * (number - 1)
    return ids, np.array(classes, np.int64)


def _overlaps(
    objects: Ids, regions: Ids, agreed: NDArray[np.bool_]
) -> tuple[Integers, Integers, Integers]:
    """List the pairs (object, region) that share pixels, and how many.

    Runs of equal pairs are joined first: there are far fewer runs than pixels to be sorted.
    """
    num_regions = int(regions.max()) + 1
    pair = objects.astype(np.int64)
    pair *= num_regions
    pair += regions
    pair *= agreed & (objects > 0)  # 0: no shared pixel
    pair = pair.ravel()
    starts = np.append(0, np.flatnonzero(pair[1:] != pair[:-1]) + 1)
    lengths = np.diff(np.append(starts, pair.size))
    pairs, which = np.unique(pair[starts], return_inverse=True)
    overlap = _sum_by(which, lengths, len(pairs))
    shared = pairs > 0
    return pairs[shared] // num_regions, pairs[shared] % num_regions, overlap[shared]


def _sum_by(index: Integers, values: Integers, length: int) -> Integers:
    """Sum ``values`` by ``index``; float64 holds these pixel counts exactly."""
    return np.bincount(index, weights=values, minlength=length).astype(np.int64)


def _claims(
    object_of_pair: Integers,
    region_of_pair: Integers,
    overlap: Integers,
    area: Integers,
    num_regions: int,
) -> Integers:
    """Return for every region the object it overlaps most (of equals, the largest), or 0."""
    order = np.lexsort((-object_of_pair, area[object_of_pair], overlap))
    claim = np.zeros(num_regions, np.int64)
    claim[region_of_pair[order]] = object_of_pair[order]  # the last assignment, the best, stays
    return claim
