"""Counting an image by every measure, and its line in a file.

Arrays of one axis are kept as they are. Most counts of the others are 0, so only those that are not
are kept, by flat index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.measures import configured_measures
from segloom.evaluation.measures.base import ImageCounts, Measure, Pair
from segloom.metrics.by_space import measures_of
from segloom.types import Place

__all__ = ["ImageCounts", "count_image", "counts_from_json", "counts_to_json"]


def count_image(
    name: str,
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    num_classes: int,
    config: EvalConfig,
    *,
    is_multilabel: bool = False,
) -> ImageCounts:
    """Count everything that ``config`` asks for in one image.

    Args:
        name: Of the sample.
        prediction: ``(H, W)``, class ids, or bits.
        truth: ``(H, W)``, the same and 255 for void.
        num_classes: K.
        config: What is counted.
        is_multilabel: The classes may overlap, and the maps hold bits.

    Raises:
        DataError: See `segloom.metrics.confusion.check_labels`.
    """
    pair = Pair(prediction, truth, num_classes, is_multilabel)
    counts: dict[str, NDArray[np.int64]] = {}
    for measure in configured_measures(config):
        counts |= measure.count(pair)
    return ImageCounts(name, counts)


def counts_to_json(image: ImageCounts) -> dict[str, object]:
    """Return values for JSON."""
    arrays = image.counts.items()
    return {
        "id": image.id,
        **({"place": list(image.place)} if image.place.group else {}),
        **{name: a.tolist() if a.ndim == 1 else _to_pairs(a) for name, a in arrays},
    }


def counts_from_json(values: Any, num_classes: int, measures: Sequence[Measure]) -> ImageCounts:
    """Read what `counts_to_json` gave.

    Raises:
        ValueError, TypeError, KeyError, IndexError: It is something else.
    """
    overlaps = measures_of(True).key in values
    counts = {}
    for measure in measures:
        for name, shape in measure.shapes(num_classes, overlaps).items():
            # What was counted before a measure existed does not name its arrays, and is whole
            # without them where they are empty.
            is_missing = name not in values and 0 in shape
            counts[name] = np.zeros(shape, np.int64) if is_missing else _read(values[name], shape)
    place = Place(*values.get("place", ()))  # older counts do not name it
    return ImageCounts(str(values["id"]), counts, place)


def _read(values: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    if len(shape) > 1:
        return _from_pairs(values, shape)
    if len(values) != shape[0]:
        raise ValueError(f"{shape[0]} values expected but {len(values)} found")
    return np.array(values, np.int64)


def _to_pairs(counts: NDArray[np.int64]) -> list[list[int]]:
    flat = counts.ravel()
    places = np.flatnonzero(flat)
    return [places.tolist(), flat[places].tolist()]


def _from_pairs(pairs: Sequence[Sequence[int]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    places, values = (np.array(part, np.int64) for part in pairs)
    counts = np.zeros(shape, np.int64)
    if places.shape != values.shape or (places.size and places.min() < 0):
        raise ValueError("places and counts do not belong together")
    counts.ravel()[places] = values
    return counts
