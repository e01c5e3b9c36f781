"""Checks of the form of label maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segloom.errors import DataError
from segloom.types import IGNORE_INDEX

__all__ = ["checked_form", "checked_ids"]


def checked_form(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return what is an integer array ``(H, W)``.

    Raises:
        DataError: It is another.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise DataError(
            "a label map is an integer array (height, width); "
            f"this one is {labels.dtype} of shape {labels.shape}."
        )
    return labels


def checked_ids(labels: NDArray[np.integer], num_classes: int) -> NDArray[np.uint8]:
    """Return a label map ``(H, W)`` as uint8 after checking its class ids.

    Raises:
        DataError: It is no integer map, or an id other than void is not below ``num_classes``.
    """
    labels = checked_form(labels)
    if labels.min() < 0 or labels.max() > IGNORE_INDEX:
        raise DataError(
            f"a label map holds 0 to 255; this one has {labels.min()} to {labels.max()}."
        )
    ids: NDArray[np.uint8] = np.ascontiguousarray(labels, dtype=np.uint8)
    present = np.flatnonzero(np.bincount(ids.ravel(), minlength=256)[:IGNORE_INDEX])
    if present.size and present[-1] >= num_classes:
        raise DataError(
            f"the label map holds class id {present[-1]}, but the palette has {num_classes} "
            "colours; is this the palette of another data set?"
        )
    return ids
