"""Label maps of classes that may overlap: a bit per class in one map of integers.

Up to seven classes are the bits 0 to 6 of a byte, uint8. More are the bits from 8 on of int32 (up
to 23 classes) or int64 (up to `MAX_CLASSES`); the lowest byte is then 0. In each of them 0 is a
pixel of no class and 255 is void, as in every label map, and no set of classes is 255: such a map
is cached, cropped, padded and turned like one of class ids. The integers are signed because torch
shifts and compares no others. This file alone knows the layout, for arrays and for tensors;
`segloom.ops.multilabel` is its other side, from and to a map per class.

Axes: K classes, H W image size.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError
from segloom.types import IGNORE_INDEX

__all__ = [
    "MAX_CLASSES",
    "check_number",
    "class_bit",
    "class_map",
    "in_class",
    "label_type",
    "pack",
    "present_classes",
    "stray_bits",
]

BYTE_CLASSES = 7
"""One bit less than a byte has, since the byte 255 is void."""
INT32_CLASSES = 23
"""Bits of an int32 without its sign and its lowest byte."""
MAX_CLASSES = 55
"""Bits of an int64 without its sign and its lowest byte."""

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


def label_type(num_classes: int) -> Literal["uint8", "int32", "int64"]:
    """Name the dtype, of NumPy and of torch, of a map of so many classes."""
    if num_classes <= BYTE_CLASSES:
        return "uint8"
    return "int32" if num_classes <= INT32_CLASSES else "int64"


def class_bit(class_id: int, num_classes: int) -> int:
    """Return the number of the bit that stands for a class."""
    return class_id if num_classes <= BYTE_CLASSES else class_id + 8


def in_class(labels: Labels, class_id: int, num_classes: int) -> Labels:
    """Tell, 0 or 1, where a class is in integers of any shape; void may be either."""
    present: Labels = labels >> class_bit(class_id, num_classes) & 1
    return present


def class_map(labels: NDArray[np.integer], class_id: int, num_classes: int) -> NDArray[np.uint8]:
    """Return the label map of one class against the rest: 1, 0 and 255 for void."""
    alone: NDArray[np.uint8] = in_class(labels, class_id, num_classes).astype(np.uint8)
    alone[labels == IGNORE_INDEX] = IGNORE_INDEX
    return alone


def present_classes(labels: NDArray[np.integer], num_classes: int) -> NDArray[np.bool_]:
    """Unfold bits of any shape ``(...)`` to bool ``(K, ...)``; void is in no class."""
    known = labels != IGNORE_INDEX
    return np.stack([(in_class(labels, k, num_classes) > 0) & known for k in range(num_classes)])


def pack(present: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Join the maps ``(K, H, W)`` of all classes into one of bits ``(H, W)``, of `label_type`."""
    num_classes = len(present)
    bits = np.zeros(present.shape[1:], label_type(num_classes))
    for class_id, where in enumerate(present):
        bits |= where.astype(bits.dtype) << bits.dtype.type(class_bit(class_id, num_classes))
    return bits


def stray_bits(labels: NDArray[np.integer], num_classes: int) -> NDArray[np.bool_]:
    """Return where a map holds what is no set of classes; void is such a value too."""
    known = sum(1 << class_bit(k, num_classes) for k in range(num_classes))
    beside = labels.dtype.type(~known & _all_bits(labels))
    stray: NDArray[np.bool_] = ((labels & beside) != 0) | (labels < 0)
    return stray


def _all_bits(labels: NDArray[np.integer]) -> int:
    return int(np.iinfo(labels.dtype).max)
