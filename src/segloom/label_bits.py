"""Label maps of classes that may overlap: a bit per class in one uint8 map.

Bit k of a pixel says whether class k is there; 0 is a pixel of no class, and 255 is void as in
every label map. With at most `MAX_CLASSES` classes no set of them is 255, so such a map is cached,
cropped, padded and turned like one of class ids. This file alone knows the layout, for arrays and
for tensors; `segloom.ops.multilabel` is its other side, from and to a map per class.

Axes: K classes, H W image size.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError
from segloom.types import IGNORE_INDEX

__all__ = ["MAX_CLASSES", "check_number", "class_map", "in_class", "pack", "sets"]

MAX_CLASSES = 7
"""One bit less than a byte has, since the byte 255 is void."""

Labels = TypeVar("Labels", bound=Any)
"""Integers in an array or in a tensor, whose library is not imported here."""


def check_number(num_classes: int) -> None:
    """Refuse more classes than there are bits.

    Raises:
        ConfigError: There are none or more than `MAX_CLASSES`.
    """
    if not 1 <= num_classes <= MAX_CLASSES:
        raise ConfigError(
            f"mode multilabel takes 1 to {MAX_CLASSES} classes, one bit of a label map each, but "
            f"there are {num_classes}; name fewer in data.classes, or train two networks."
        )


def in_class(labels: Labels, class_id: int) -> Labels:
    """Tell, 0 or 1, where a class is in integers of any shape; void, as all bits, is 1 too."""
    present: Labels = labels >> class_id & 1
    return present


def class_map(labels: NDArray[np.uint8], class_id: int) -> NDArray[np.uint8]:
    """Give the label map of one class against the rest: 1, 0 and 255 for void."""
    alone: NDArray[np.uint8] = in_class(labels, class_id)
    alone[labels == IGNORE_INDEX] = IGNORE_INDEX
    return alone


def pack(present: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Join the maps ``(K, H, W)`` of all classes into one of bits ``(H, W)``."""
    bits: NDArray[np.uint8] = np.packbits(present, axis=0, bitorder="little")[0]
    return bits


def sets(num_classes: int) -> NDArray[np.bool_]:
    """List which classes every value below void stands for: bool ``(2**K, K)``."""
    values = np.arange(2**num_classes)
    return np.stack([in_class(values, class_id) for class_id in range(num_classes)], axis=1) > 0
