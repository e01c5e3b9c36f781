"""The form of an image that a network takes, checked where it enters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.errors import DataError
from segloom.images.read import to_rgb

__all__ = ["as_rgb", "checked_image"]


def as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Show an image ``(H, W, C)`` of any bands by its first three, or the first as grey."""
    if image.ndim != 3 or image.shape[2] == 3:
        return image
    return image[..., :3] if image.shape[2] > 3 else np.repeat(image[..., :1], 3, axis=2)


def checked_image(
    image: object, num_channels: int, *, takes_edges: bool = False
) -> NDArray[np.uint8]:
    """Return an image as an array, and refuse what is no image of a network.

    Args:
        image: Should be uint8 ``(H, W, C)``; a PIL image becomes RGB, upright.
        num_channels: C.
        takes_edges: The last channel is an edge map.

    Raises:
        DataError: It has another form.
    """
    if isinstance(image, Image.Image):
        image = to_rgb(image)
    if not isinstance(image, np.ndarray):
        raise DataError(_no_image(f"a {type(image).__name__}"))
    if image.ndim != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise DataError(_no_image(f"{image.dtype} of shape {image.shape}"))
    if image.shape[2] != num_channels:
        edges = ", the last of them an edge map" if takes_edges else ""
        raise DataError(
            f"the network takes {num_channels} channels{edges}; this image has {image.shape[2]}."
        )
    return image


def _no_image(found: str) -> str:
    return (
        f"an image is a uint8 array (height, width, channels); this one is {found}, and "
        "segloom.load(RUN)(image) takes paths, tensors and other arrays."
    )
