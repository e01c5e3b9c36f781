"""How frequent the classes of a data set are, and the loss weights that follow from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segloom.errors import UnknownNameError
from segloom.labels.space import space_of

if TYPE_CHECKING:
    from segloom.data.dataset import SegmentationDataset

__all__ = ["ClassCounts", "WeightScheme", "class_weights", "count_classes"]

WeightScheme = Literal["none", "log", "log2", "log_max", "inverse", "median", "effective"]


class ClassCounts(NamedTuple):
    """Pixels of the classes over a data set; counts of parts add up."""

    pixels: NDArray[np.int64]
    """``(K,)``, pixels of each class."""
    image_pixels: NDArray[np.int64]
    """``(K,)``, all pixels (void too) of the images that hold the class."""
    num_images: int
    void_pixels: int = 0
    labelled_pixels: int | None = None
    """Pixels that are not void; None is the sum of `pixels`, of classes that exclude each other."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """``(K,)``, share of each class in the labelled pixels, of which there is one at least."""
        shares: NDArray[np.float64] = self.pixels / (self.labelled_pixels or self.pixels.sum())
        return shares


def count_classes(dataset: SegmentationDataset) -> ClassCounts:
    """Count the classes in the whole, unchanged label maps of a data set.

    Raises:
        DataError: A sample cannot be read.
    """
    num_classes = len(dataset.classes)
    pixels = np.zeros(num_classes, np.int64)
    image_pixels = np.zeros(num_classes, np.int64)
    space = space_of(dataset.labels)
    void = labelled = 0
    for index in range(len(dataset)):
        counts = space.count(dataset.read(index).mask)
        pixels += counts.classes
        image_pixels += (counts.classes > 0) * (counts.labelled + counts.void)
        void += counts.void
        labelled += counts.labelled
    return ClassCounts(pixels, image_pixels, len(dataset), void, labelled)


def class_weights(counts: ClassCounts, scheme: WeightScheme | str) -> list[float]:
    """Weigh the classes so that rare ones count more in a loss.

    With p the share of a class in all labelled pixels and K classes:

    - ``none``: 1.
    - ``log``: 1 / ln(1.02 + p), between 1.4 and 50 (Paszke et al., "ENet", 2016, section 5.2).
    - ``log2``: 1 / log2(1.02 + p), which is ``log`` times ln 2.
    - ``log_max``: 1 / ln(1.02 + n / max n) with n pixels of the class (LinkNet's program), between
      1.4 and 50 too, but with 1.4 for the largest class whatever its share.
    - ``inverse``: 1 / p, scaled to mean 1.
    - ``median``: median(f) / f, where f is the share of a class in the pixels of the images that
      hold it (Eigen and Fergus, ICCV 2015, section 3.4; as SegNet and AFMA use it).
    - ``effective``: 1 / (1 - b**n), scaled to mean 1 (Cui et al., "Class-balanced loss based on
      effective number of samples", CVPR 2019, equation 2), n pixels of the class and
      b = 1 - K / pixels: pixels are not independent samples, so the paper's b of 0.9999 would
      weigh all classes alike; ours is near 1 / p for a rare class and even among frequent ones.

    A class without pixels weighs 1 (the logarithms: as p = 0), which no pixel will use.

    Raises:
        UnknownNameError: There is no such scheme.
    """
    if scheme not in _SCHEMES:
        raise UnknownNameError("class weights", scheme, _SCHEMES)
    if not counts.pixels.any():
        return [1.0] * len(counts.pixels)
    return [float(weight) for weight in _SCHEMES[scheme](counts)]


def _none(counts: ClassCounts) -> NDArray[np.float64]:
    return np.ones(len(counts.pixels))


def _log(counts: ClassCounts) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = 1 / np.log(1.02 + counts.shares)
    return weights


def _log2(counts: ClassCounts) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = 1 / np.log2(1.02 + counts.shares)
    return weights


def _log_max(counts: ClassCounts) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = 1 / np.log(1.02 + counts.pixels / counts.pixels.max())
    return weights


def _inverse(counts: ClassCounts) -> NDArray[np.float64]:
    return _mean_one(1 / np.maximum(counts.pixels, 1), counts)


def _median(counts: ClassCounts) -> NDArray[np.float64]:
    share = counts.pixels / np.maximum(counts.image_pixels, 1)
    present = counts.pixels > 0
    weights = np.ones(len(share))
    weights[present] = np.median(share[present]) / share[present]
    return weights


def _effective(counts: ClassCounts) -> NDArray[np.float64]:
    log_b = math.log1p(-min(len(counts.pixels) / counts.pixels.sum(), 1 - 1e-9))
    return _mean_one(1 / -np.expm1(np.maximum(counts.pixels, 1) * log_b), counts)


def _mean_one(weights: NDArray[np.float64], counts: ClassCounts) -> NDArray[np.float64]:
    present = counts.pixels > 0
    scaled: NDArray[np.float64] = np.where(present, weights / weights[present].mean(), 1.0)
    return scaled


_SCHEMES: dict[str, Callable[[ClassCounts], NDArray[np.float64]]] = {
    "none": _none,
    "log": _log,
    "log2": _log2,
    "log_max": _log_max,
    "inverse": _inverse,
    "median": _median,
    "effective": _effective,
}
