"""Images and label maps that are in memory, in the form in which files are read.

Axes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Protocol, Self, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.errors import DataError
from segloom.images.read import to_rgb

__all__ = ["is_tensor", "label_map_of", "pixels_of"]


class _Tensor(Protocol):
    """What is asked of a tensor of torch."""

    ndim: int

    def detach(self) -> Self: ...

    def cpu(self) -> Self: ...

    def numpy(self) -> NDArray[np.number]: ...


def is_tensor(value: object) -> TypeGuard[_Tensor]:
    """Tell a tensor of torch, whose channels come first, without importing torch."""
    return hasattr(value, "detach") and hasattr(value, "numpy")


def pixels_of(
    image: object, *, channels: int | None = 3, name: str = "the image"
) -> NDArray[np.uint8]:
    """Return the pixels of one image, of the values 0 to 255.

    Args:
        image: A PIL image; an array ``(H, W)`` or ``(H, W, C)``; or a tensor ``(H, W)`` or
            ``(C, H, W)``. Numbers with a fraction go from 0 to 1; of 16 bits the high byte counts,
            as in files.
        channels: How many are wanted; grey is then repeated, and alpha dropped for three. None
            takes what there is.
        name: What messages call it.

    Returns:
        uint8 ``(H, W, C)``.

    Raises:
        DataError: It is something else.
    """
    if isinstance(image, Image.Image):
        return to_rgb(image, name)
    values = _array(image, name)
    if values.ndim == 3 and is_tensor(image):
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or 0 in values.shape:
        raise DataError(
            f"{name} has shape {values.shape}; give (height, width) or (height, width, channels)."
        )
    pixels = _to_bytes(values, name)
    return pixels if channels is None else _with_channels(pixels, channels, name)


def _with_channels(pixels: NDArray[np.uint8], channels: int, name: str) -> NDArray[np.uint8]:
    """Repeat grey or drop alpha to give ``(H, W, channels)``."""
    if pixels.shape[2] == channels:
        return pixels
    if pixels.shape[2] == 1:
        return np.repeat(pixels, channels, axis=2)
    if channels == 3 and pixels.shape[2] == 4:
        return pixels[..., :3]
    if pixels.shape[0] == channels:
        raise DataError(
            f"{name} has shape {pixels.shape}; the channels come last, so give it as (height, "
            "width, channels)."
        )
    return pixels  # who takes it names the channels that it needs


def label_map_of(mask: object, *, name: str = "the label map") -> NDArray[np.integer]:
    """Return a label map as it stands: whole numbers ``(H, W)``.

    Args:
        mask: A PIL image, an array or a tensor ``(H, W)``, or of one channel.
        name: What messages call it.

    Raises:
        DataError: It has another form, or numbers with a fraction.
    """
    values = _array(np.asarray(mask) if isinstance(mask, Image.Image) else mask, name)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise DataError(
            f"{name} is {values.dtype} of shape {values.shape}; give class ids as whole numbers "
            "(height, width), and 255 for pixels without a class."
        )
    return values.astype(np.uint8 if values.dtype.kind == "b" else values.dtype, copy=False)


def _array(value: object, name: str) -> NDArray[np.number]:
    if is_tensor(value):
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray):
        raise DataError(
            f"{name} is of type {type(value).__name__}; give an array, a tensor or a PIL image."
        )
    return value


def _to_bytes(values: NDArray[np.number], name: str) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    if values.dtype == np.uint16:
        return (values.astype(np.uint16, copy=False) >> 8).astype(np.uint8)
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if low >= 0 and high <= 1:  # false for NaN
            return np.round(values * 255).astype(np.uint8)
        raise DataError(
            f"{name} is {values.dtype} with values from {low:g} to {high:g}; numbers with a "
            "fraction go from 0 to 1, or give uint8, 0 to 255."
        )
    raise DataError(f"{name} is {values.dtype}; give uint8, uint16, or floats from 0 to 1.")
