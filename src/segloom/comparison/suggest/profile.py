"""What the labels of a data set look like: object sizes, outlines, shares of the classes.

Objects, their sizes and outlines are those that the evaluation measures (`segloom.metrics`), so
that a profile and the scores speak of the same things.

Axes: N images, K classes, S size buckets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segloom.metrics.by_space import measures_of
from segloom.types import IGNORE_INDEX

if TYPE_CHECKING:
    from segloom.data import SegmentationDataset

__all__ = ["SMALL", "LabelProfile", "profile_labels"]

SMALL = 32 * 32
"""An object of fewer pixels is small, as COCO says (Lin et al., ECCV 2014)."""
TINY = 16 * 16
LARGE_SHARE = 0.25
"""An object of more than this share of its image is large."""


@dataclass(frozen=True)
class LabelProfile:
    """Sums over the images that were looked at; shares are 0 to 1."""

    classes: tuple[str, ...]
    num_images: int
    total_images: int
    """Of the whole split; ``num_images`` of them, evenly spread, were looked at."""
    image_size: tuple[int, int]
    """Median height and width in pixels."""
    pixels: NDArray[np.int64]
    """``(K,)`` labelled pixels of each class."""
    objects: NDArray[np.int64]
    """``(K, S)`` objects by area: below 256, 1024 pixels, up to a quarter of the image, above."""
    object_pixels: NDArray[np.int64]
    """``(K, S)`` their pixels."""
    contour: NDArray[np.int64]
    """``(K,)`` pixels that touch another class."""
    void_share: float
    """Of all pixels."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """``(K,)`` share of each class in the labelled pixels."""
        shares: NDArray[np.float64] = self.pixels / max(self.pixels.sum(), 1)
        return shares

    @property
    def small_shares(self) -> NDArray[np.float64]:
        """``(K,)`` share of the pixels of each class that are in small objects."""
        small = self.object_pixels[:, :2].sum(1)
        shares: NDArray[np.float64] = small / np.maximum(self.pixels, 1)
        return shares

    @property
    def small_objects(self) -> float:
        """Share of all objects that are small."""
        return float(self.objects[:, :2].sum() / max(self.objects.sum(), 1))

    @property
    def large_share(self) -> float:
        """Share of the labelled pixels in objects of more than a quarter of their image."""
        return float(self.object_pixels[:, -1].sum() / max(self.pixels.sum(), 1))

    @property
    def contour_share(self) -> float:
        """Share of the labelled pixels that touch another class."""
        return float(self.contour.sum() / max(self.pixels.sum(), 1))


def profile_labels(
    dataset: SegmentationDataset,
    *,
    limit: int = 500,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> LabelProfile:
    """Look at the label maps of a data set at their original size.

    Args:
        dataset: Without augmentation.
        limit: At most as many images, evenly spread over the data set.
        on_progress: Called with how many of how many images are done.

    Raises:
        DataError: A sample cannot be read.
    """
    number, total = len(dataset.classes), len(dataset)
    indices = np.unique(np.linspace(0, total - 1, min(limit, total)).round().astype(int))
    measures = measures_of(dataset.labels.is_multilabel)
    objects = np.zeros((number, 4, 2), np.int64)
    contour = np.zeros(number, np.int64)
    shapes, void, everything = [], 0, 0
    for done, index in enumerate(indices.tolist(), start=1):
        mask = dataset.read(index).mask
        # Against itself a label map has no false positive: what remains are objects and pixels.
        limits = (TINY, SMALL, max(SMALL + 1, int(LARGE_SHARE * mask.size)))
        objects += measures.sizes(mask, mask, number, limits)[..., (0, 2)]
        contour += measures.boundary(mask, mask, number, (0.001,))[0, :, 3]
        shapes.append(mask.shape)
        void += int((mask == IGNORE_INDEX).sum())
        everything += mask.size
        on_progress(done, len(indices))
    height, width = np.median(shapes, axis=0).astype(int).tolist()
    return LabelProfile(
        classes=tuple(dataset.classes),
        num_images=len(indices),
        total_images=total,
        image_size=(height, width),
        pixels=objects[..., 1].sum(1),
        objects=objects[..., 0],
        object_pixels=objects[..., 1],
        contour=contour,
        void_share=void / max(everything, 1),
    )
