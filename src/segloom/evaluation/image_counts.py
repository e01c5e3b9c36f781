"""What one image contributes to an evaluation: integers, so that images simply add.

Axes: K classes, S size buckets, T boundary tolerances, D tolerances of DAVIS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.evaluation import EvalConfig
from segloom.metrics import count_boundary, count_confusion, count_sizes, count_tables
from segloom.metrics.boundary import NUM_BOUNDARY_COUNTS, tolerance_pixels
from segloom.metrics.davis_boundary import NUM_DAVIS_COUNTS, davis_boundary_counts, davis_slack
from segloom.metrics.multilabel import multilabel_boundary, multilabel_davis, multilabel_sizes
from segloom.metrics.size_buckets import NUM_SIZE_COUNTS

__all__ = ["ImageCounts", "count_image"]


@dataclass(frozen=True)
class ImageCounts:
    """Counts of one image, int64."""

    id: str
    """Name of the sample."""
    confusion: NDArray[np.int64]
    """``(K, K)``; rows truth, columns prediction. Of classes that may overlap ``(K, 2, 2)``: the
    same for every class by itself, no before yes."""
    size: NDArray[np.int64]
    """``(K, S, 5)``, see `segloom.metrics.count_sizes`."""
    boundary: NDArray[np.int64]
    """``(T, K, 7)``, see `segloom.metrics.count_boundary`."""
    distances: tuple[int, ...]
    """Every boundary tolerance in pixels of this image."""
    davis: NDArray[np.int64]
    """``(D, K, 4)``, see `segloom.metrics.davis_boundary.davis_boundary_counts`."""
    davis_distances: tuple[int, ...]
    """Every tolerance of DAVIS in pixels of this image."""

    @property
    def is_multilabel(self) -> bool:
        """Whether the classes may overlap."""
        return self.confusion.ndim == 3

    def to_json(self) -> dict[str, Any]:
        """Give values for JSON; most counts are 0, so only the others are kept, by flat index."""
        return {
            "id": self.id,
            "tables" if self.is_multilabel else "confusion": _to_pairs(self.confusion),
            "size": _to_pairs(self.size),
            "boundary": _to_pairs(self.boundary),
            "distances": list(self.distances),
            "davis": _to_pairs(self.davis),
            "davis_distances": list(self.davis_distances),
        }

    @classmethod
    def from_json(cls, values: Any, num_classes: int, config: EvalConfig) -> ImageCounts:
        """Read what `to_json` gave.

        Raises:
            ValueError, TypeError, KeyError, IndexError: It is something else.
        """
        num_sizes, num_tolerances = len(config.size_limits) + 1, len(config.boundary_tolerances)
        shape: tuple[int, ...]
        name, shape = "confusion", (num_classes, num_classes)
        if "tables" in values:
            name, shape = "tables", (num_classes, 2, 2)
        distances = tuple(int(distance) for distance in values["distances"])
        if len(distances) != num_tolerances:
            raise ValueError(f"{num_tolerances} tolerances but {len(distances)} distances")
        num_davis = len(config.davis_tolerances)
        # Counts of before the measure existed do not name it, and are whole without it.
        davis = values if num_davis else {"davis": ((), ()), "davis_distances": ()}
        return cls(
            id=str(values["id"]),
            confusion=_from_pairs(values[name], shape),
            size=_from_pairs(values["size"], (num_classes, num_sizes, NUM_SIZE_COUNTS)),
            boundary=_from_pairs(
                values["boundary"], (num_tolerances, num_classes, NUM_BOUNDARY_COUNTS)
            ),
            distances=_distances(values["distances"], num_tolerances),
            davis=_from_pairs(davis["davis"], (num_davis, num_classes, NUM_DAVIS_COUNTS)),
            davis_distances=_distances(davis["davis_distances"], num_davis),
        )


def count_image(
    name: str,
    prediction: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    num_classes: int,
    config: EvalConfig,
    *,
    is_multilabel: bool = False,
) -> ImageCounts:
    """Count everything that ``config`` asks for in one image.

    Args:
        name: Of the sample.
        prediction: uint8 ``(H, W)``, class ids, or bits.
        truth: uint8 ``(H, W)``, the same and 255 for void.
        num_classes: K.
        config: What is counted.
        is_multilabel: The classes may overlap, and the maps hold bits.

    Raises:
        DataError: See `segloom.metrics.confusion.check_labels`.
    """
    limits, tolerances = config.size_limits, config.boundary_tolerances
    count, measure, trace = count_confusion, count_sizes, count_boundary
    follow = davis_boundary_counts
    if is_multilabel:
        count, measure, trace = count_tables, multilabel_sizes, multilabel_boundary
        follow = multilabel_davis
    davis: NDArray[np.int64] = np.zeros((0, num_classes, NUM_DAVIS_COUNTS), np.int64)
    if config.davis_tolerances:
        davis = np.stack(
            [follow(prediction, truth, num_classes, t) for t in config.davis_tolerances]
        )
    sizes: NDArray[np.int64] = np.zeros((num_classes, 1, NUM_SIZE_COUNTS), np.int64)
    if limits:
        sizes = measure(prediction, truth, num_classes, limits)
    return ImageCounts(
        id=name,
        confusion=count(prediction, truth, num_classes),
        size=sizes,
        boundary=trace(prediction, truth, num_classes, tolerances),
        distances=tuple(tolerance_pixels(truth.shape[0], truth.shape[1], t) for t in tolerances),
        davis=davis,
        davis_distances=tuple(
            davis_slack(truth.shape[0], truth.shape[1], t) for t in config.davis_tolerances
        ),
    )


def _distances(values: Sequence[Any], number: int) -> tuple[int, ...]:
    if len(values) != number:
        raise ValueError(f"{number} tolerances but {len(values)} distances")
    return tuple(int(value) for value in values)


def _to_pairs(counts: NDArray[np.int64]) -> list[list[int]]:
    flat = counts.ravel()
    places = np.flatnonzero(flat)
    return [places.tolist(), flat[places].tolist()]


def _from_pairs(pairs: Sequence[Sequence[int]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    places, values = pairs
    counts = np.zeros(shape, np.int64)
    if len(places) != len(values) or any(place < 0 for place in places):
        raise ValueError("places and counts do not belong together")
    counts.ravel()[np.array(places, np.int64)] = np.array(values, np.int64)
    return counts
