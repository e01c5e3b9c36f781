"""One confusion matrix over a whole data set, as exact integers.

Truth and prediction of a pixel become one number, ``(truth + 1) * K + prediction``, in uint8 (up
to 15 classes) or uint16 (up to 255); void is row 0, because 255 + 1 wraps to 0. One histogram
counts these numbers, and the void row is dropped afterwards, so that no pixel is ever masked.

Axes: B batch, H height, W width, K classes.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segloom.errors import DataError
from segloom.types import IGNORE_INDEX

__all__ = ["check_labels", "count_confusion", "histogram"]

# cv2.calcHist returns float32, which holds every integer up to here.
_EXACT_PIXELS = 1 << 24

Label = TypeVar("Label", bound=np.integer)


def check_labels(
    prediction: NDArray[Label], truth: NDArray[np.integer], num_classes: int
) -> NDArray[Label]:
    """Check two uint8 label maps against each other and return the usable prediction.

    What is predicted on void pixels does not matter: if it is not a class, it is replaced by 0 in
    a copy.

    Raises:
        DataError: Shapes or dtypes differ from each other or from uint8, the truth has a value
            that is neither a class nor void (255), or the prediction of a pixel that counts is not
            a class.
    """
    if prediction.shape != truth.shape:
        raise DataError(
            f"prediction and truth must have one shape; got {prediction.shape} and {truth.shape}."
        )
    if prediction.dtype != np.uint8 or truth.dtype != np.uint8:
        raise DataError(f"label maps are uint8; got {prediction.dtype} and {truth.dtype}.")
    if truth.size == 0:
        return prediction
    if (highest := int((truth + np.uint8(1)).max())) > num_classes:  # 255 + 1 wraps to 0
        raise DataError(
            f"the truth holds the label {highest - 1}, but there are {num_classes} classes (0 to "
            f"{num_classes - 1}) and void is {IGNORE_INDEX}; map it in data.label_map."
        )
    if int(prediction.max()) >= num_classes:
        counted = truth != IGNORE_INDEX
        if (highest := int(np.where(counted, prediction, 0).max())) >= num_classes:
            raise DataError(
                f"the prediction holds the label {highest}, but there are {num_classes} classes "
                f"(0 to {num_classes - 1}); void cannot be predicted."
            )
        prediction = np.where(counted, prediction, np.uint8(0))
    return prediction


def count_confusion(
    prediction: NDArray[np.integer], truth: NDArray[np.integer], num_classes: int
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        prediction: uint8, any shape, class ids; anything where the truth is void.
        truth: uint8, the same shape, class ids and 255 for void, which is not counted.
        num_classes: K, 1 to 255.

    Returns:
        int64 ``(K, K)``; rows are the truth, columns the prediction.

    Raises:
        DataError: As `check_labels`.
    """
    prediction = check_labels(prediction, truth, num_classes)
    joint_type = np.uint8 if (num_classes + 1) * num_classes <= 256 else np.uint16
    joint: NDArray[np.unsignedinteger] = (truth + np.uint8(1)).astype(joint_type, copy=False)
    joint *= joint_type(num_classes)
    joint += prediction
    counts = histogram(joint, (num_classes + 1) * num_classes)
    return counts.reshape(num_classes + 1, num_classes)[1:]


def histogram(
    values: NDArray[np.integer], bins: int, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Count the values ``0..bins - 1`` of a uint8 or uint16 array, exactly.

    Args:
        values: Any shape; values from ``bins`` on are not counted.
        bins: How many values are counted.
        mask: Same shape; where it is False, nothing is counted.
    """
    import cv2

    flat = values.reshape(1, -1)
    chosen = None if mask is None else mask.view(np.uint8).reshape(1, -1)
    counts = np.zeros(bins, np.int64)
    for start in range(0, flat.shape[1], _EXACT_PIXELS):
        part = slice(start, start + _EXACT_PIXELS)
        under = None if chosen is None else chosen[:, part]
        found = cv2.calcHist([flat[:, part]], [0], under, [bins], [0, bins])
        counts += found.ravel().astype(np.int64)
    return counts
