"""Reading a label file as it is stored, before its values get a meaning."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segloom.errors import DataError
from segloom.images.read import MAX_PIXELS, is_slice

__all__ = ["StoredLabels", "read_labels"]


PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""Number of the TIFF tag that says what 0 is, and its value for white."""


class StoredLabels(NamedTuple):
    """A label file as it is stored."""

    pixels: NDArray[np.integer]
    """``(H, W)`` uint8 or uint16 values, int32 where some are negative, or ``(H, W, 3)`` uint8
    colours."""
    kind: Literal["bit", "grey", "palette", "color"]
    """A colour file whose channels are all equal counts as grey."""
    is_lossy: bool
    """JPEG, lossy WebP or the like: values near borders are not those that were drawn."""
    colors: NDArray[np.uint8] | None = None
    """Of a palette file, the colours ``(256, 3)`` of its indices."""

    def rgb(self) -> NDArray[np.uint8]:
        """Return the colours ``(H, W, 3)`` uint8 that a viewer shows."""
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
    if is_slice(path):
        return _read_array(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata and large sizes
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels; cut it up.")
                stored = _store(ImageOps.exif_transpose(image), is_lossy(image, path), path)
                return _raw(stored) if _is_inverted(image) else stored
    except DataError:
        raise
    except UnidentifiedImageError as error:
        if path.suffix.lower() in (".tif", ".tiff"):
            return _read_tiff(path)
        raise _damaged(path, error) from error
    except FileNotFoundError as error:
        raise DataError(f"label map {path} does not exist.") from error
    except Exception as error:  # decoders meet damage with many kinds of exception
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"label map {path} is damaged, cut short or no image ({error}); export it again."
    )


def _is_inverted(image: Image.Image) -> bool:
    """Return whether Pillow turned the values of a TIFF, since 0 is white there."""
    tags = getattr(image, "tag_v2", {})
    return image.mode in ("1", "L") and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _raw(stored: StoredLabels) -> StoredLabels:
    """Turn them back: labels are values, not shades."""
    top = 1 if stored.kind == "bit" else 255
    return stored._replace(pixels=top - stored.pixels)


def _read_tiff(path: Path) -> StoredLabels:
    """Read a TIFF of a type that Pillow does not know, such as integers of 64 bits."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            values = file.pages.first.asarray()
    except Exception as error:  # decoders meet damage with many kinds of exception
        raise _damaged(path, error) from error
    if values.ndim != 2 or values.dtype.kind not in "biu":
        raise DataError(
            f"label map {path} holds {values.dtype} of shape {values.shape}; save it as whole "
            "numbers of one band."
        )
    return StoredLabels(_integers(values, path), "grey", is_lossy=False)


def _read_array(path: Path) -> StoredLabels:
    """Read an array of NumPy: whole numbers ``(H, W)``, or bool."""
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"label map {path} does not exist.") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"label map {path} cannot be read ({error}); save it again.") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "biu":
        raise DataError(
            f"label map {path} is no array of whole numbers of the shape (height, width); save "
            "class ids so."
        )
    if values.dtype == np.bool_:
        return StoredLabels(values.astype(np.uint8), "bit", is_lossy=False)
    values = values if values.dtype == np.uint8 else _integers(values, path)
    return StoredLabels(values, "grey", is_lossy=False)


def is_lossy(image: Image.Image, path: Path) -> bool:
    """Return whether an opened file is compressed in a way that changes values."""
    if image.format in ("JPEG", "MPO", "AVIF"):
        return True
    if image.format == "WEBP":
        return b"VP8 " in _start(path)  # VP8L is the lossless form
    if image.format == "JPEG2000":
        start = _start(path)
        coding = start.find(b"\xff\x52")  # marker COD; byte 13 names the wavelet, 0 is 9-7
        return 0 <= coding < len(start) - 13 and start[coding + 13] == 0
    return image.format == "TIFF" and image.info.get("compression") in ("jpeg", "webp")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 16)


def _store(image: Image.Image, lossy: bool, path: Path) -> StoredLabels:
    mode = image.mode
    if mode == "1":
        return StoredLabels(np.array(image, dtype=np.uint8), "bit", lossy)
    if mode == "P":
        return StoredLabels(np.array(image), "palette", lossy, _palette(image))
    if mode == "F":
        raise DataError(f"label map {path} has floating-point pixels; save it as 8-bit PNG.")
    if mode == "I" or mode.startswith("I;"):
        return StoredLabels(_integers(np.array(image), path), "grey", lossy)
    if mode in ("LA", "La", "RGBA", "RGBa") and (shape := _alpha_shape(image)) is not None:
        return StoredLabels(shape, "grey", lossy)
    if mode in ("L", "LA", "La"):
        return StoredLabels(np.array(image.getchannel("L")), "grey", lossy)
    rgb = np.array(image.convert("RGB"))
    if (rgb == rgb[..., :1]).all():
        return StoredLabels(np.ascontiguousarray(rgb[..., 0]), "grey", lossy)
    return StoredLabels(rgb, "color", lossy)


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """Return the colours of all 256 indices; those that the file leaves out are black."""
    colors = np.zeros((256, 3), np.uint8)
    known = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    colors[: len(known)] = known
    return colors


def _alpha_shape(image: Image.Image) -> NDArray[np.uint8] | None:
    """Give the alpha channel where it alone draws the shape: the colour below is one throughout."""
    bands = np.asarray(image)
    alpha = bands[..., -1]
    flat = bands[..., :-1].reshape(-1, bands.shape[2] - 1)
    if alpha.min() == alpha.max() or (flat != flat[0]).any():
        return None
    return np.ascontiguousarray(alpha)


def _integers(values: NDArray[np.integer], path: Path) -> NDArray[np.integer]:
    """Bring deep pixels to uint16, or to int32 if any is negative, as no-data values are."""
    low, high = int(values.min()), int(values.max())
    if high > 65535:
        raise DataError(
            f"label map {path} has values up to {high}, beyond 16 bits; renumber its classes."
        )
    return values.astype(np.uint16 if low >= 0 else np.int32)
