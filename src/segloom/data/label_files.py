"""Reading a label file as it is stored, before its values get a meaning."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segloom.errors import DataError
from segloom.images import MAX_PIXELS

__all__ = ["StoredLabels", "read_labels"]


class StoredLabels(NamedTuple):
    """A label file as it is stored."""

    pixels: NDArray[np.unsignedinteger]
    """``(H, W)`` uint8 or uint16 values, or ``(H, W, 3)`` uint8 colours."""
    kind: Literal["bit", "grey", "palette", "color"]
    """A colour file whose channels are all equal counts as grey."""
    is_lossy: bool
    """JPEG or the like: values near borders are not those that were drawn."""
    colors: NDArray[np.uint8] | None = None
    """Of a palette file, the colours ``(256, 3)`` of its indices."""

    def rgb(self) -> NDArray[np.uint8]:
        """Give the colours ``(H, W, 3)`` uint8 that a viewer shows."""
        if self.kind == "color":
            return self.pixels.astype(np.uint8, copy=False)
        if self.colors is not None:
            shown: NDArray[np.uint8] = self.colors[self.pixels]
            return shown
        grey = self.pixels * 255 if self.kind == "bit" else self.pixels
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def read_labels(path: Path) -> StoredLabels:
    """Read a label file as it is stored, upright, without giving its values a meaning.

    Raises:
        DataError: The file is missing, damaged, too large or holds floating-point pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata and large sizes
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels; cut it up.")
                is_lossy = image.format in ("JPEG", "MPO")
                return _store(ImageOps.exif_transpose(image), is_lossy, path)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"label map {path} does not exist.") from error
    except Exception as error:  # decoders meet damage with many kinds of exception
        raise DataError(
            f"label map {path} is damaged, cut short or no image ({error}); export it again."
        ) from error


def _store(image: Image.Image, is_lossy: bool, path: Path) -> StoredLabels:
    mode = image.mode
    if mode == "F":
        raise DataError(f"label map {path} has floating-point pixels; save it as 8-bit PNG.")
    if mode == "1":
        return StoredLabels(np.array(image, dtype=np.uint8), "bit", is_lossy)
    if mode == "P":
        colors = np.zeros((256, 3), np.uint8)
        known = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        colors[: len(known)] = known
        return StoredLabels(np.array(image), "palette", is_lossy, colors)
    if mode == "I" or mode.startswith("I;"):
        values = np.array(image)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"label map {path} has values beyond 16 bits; renumber its classes.")
        return StoredLabels(values.astype(np.uint16), "grey", is_lossy)
    if mode in ("L", "LA", "La"):
        return StoredLabels(np.array(image.getchannel("L")), "grey", is_lossy)
    rgb = np.array(image.convert("RGB"))
    if (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all():
        return StoredLabels(np.ascontiguousarray(rgb[..., 0]), "grey", is_lossy)
    return StoredLabels(rgb, "color", is_lossy)
