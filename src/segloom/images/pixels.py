"""Images whose pixels are not three bands of 8 bits: more bands, more bits, floating point.

A `PixelFormat` says what becomes black and white in every band, so that training, evaluation and
prediction see one and the same picture; it is kept with the network.

Axes: C bands, H W image size.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.errors import DataError
from segloom.images.read import MAX_PIXELS, read_image

__all__ = ["PixelFormat", "has_plain_pixels", "read_pixels"]

TIFF_ENDINGS = (".tif", ".tiff")
ALPHA = (1, 2)
"""Kinds of a TIFF's extra samples that are transparency and no band."""
PNG_HEAD, PNG_DEPTH, PNG_COLOR = b"\x89PNG\r\n\x1a\n", 24, 25
"""First bytes of a PNG, and the places of its bit depth and its kind of colour."""
PNG_RGB = (2, 6)


@dataclass(frozen=True)
class PixelFormat:
    """How the stored values of a data set become uint8."""

    low: tuple[float, ...]
    """Per band, the value that becomes 0."""
    high: tuple[float, ...]
    """Per band, the value that becomes 255."""
    mean: tuple[float, ...] = ()
    """Per channel, in 0..1 after scaling; empty for what the encoder's weights expect."""
    std: tuple[float, ...] = ()

    @property
    def channels(self) -> int:
        """Channels of what `read` gives; one band is repeated as grey."""
        return 3 if len(self.low) == 1 else len(self.low)

    @property
    def fingerprint(self) -> str:
        """Text that differs where one file gives other pixels."""
        return hashlib.sha256(repr((1, self.low, self.high)).encode()).hexdigest()

    def read(self, path: str | Path) -> NDArray[np.uint8]:
        """Read an image file as uint8 ``(H, W, channels)``.

        Raises:
            DataError: It cannot be read, or has another number of bands.
        """
        return self.scale_file(read_pixels(Path(path)), Path(path))

    def scale_file(self, pixels: NDArray[Any], path: Path) -> NDArray[np.uint8]:
        """Scale stored values ``(H, W, bands)`` of a file.

        Raises:
            DataError: It has another number of bands; ``path`` is only named.
        """
        if pixels.shape[2] != len(self.low):
            raise DataError(
                f"{path} has {_bands(pixels.shape[2])}, but the data set was read with "
                f"{_bands(len(self.low))}; give images with the same bands."
            )
        return self.scale(pixels)

    def scale(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Bring stored values ``(H, W, bands)`` to uint8; what is not finite becomes 0."""
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        scaled = (pixels.astype(np.float32) - low) * (255 / (high - low))
        scaled = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)
        values = np.rint(scaled.clip(0, 255)).astype(np.uint8)
        return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values

    def to_dict(self) -> dict[str, Any]:
        """Give JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PixelFormat:
        """Undo `to_dict`."""
        names = ("low", "high", "mean", "std")
        return cls(*(tuple(float(value) for value in values[name]) for name in names))


def has_plain_pixels(path: Path) -> bool:
    """Tell by its header whether `read_image` reads an image without losing bands or bits."""
    try:
        if path.suffix.lower() in TIFF_ENDINGS:
            return _is_plain_tiff(path)
        if _is_deep_png(path):
            return False
        with Image.open(path) as image:
            return image.mode not in ("F", "I") and not image.mode.startswith("I;")
    except Exception:  # whoever reads it says what is wrong
        return True


def read_pixels(path: Path) -> NDArray[Any]:
    """Read all bands of an image as they are stored.

    Returns:
        ``(H, W, C)``, any type of numbers. Transparency is left out.

    Raises:
        DataError: The file cannot be read.
    """
    if has_plain_pixels(path):
        return read_image(path)
    try:
        pixels = _read_tiff(path) if path.suffix.lower() in TIFF_ENDINGS else _read_deep(path)
    except DataError:
        raise
    except Exception as error:  # decoders meet damage with many kinds of exception
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"{path} cannot be read ({reason}); save it uncompressed or with deflate."
        ) from error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _is_plain_tiff(path: Path) -> bool:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        bands = int(page.samplesperpixel) - sum(kind in ALPHA for kind in page.extrasamples)
        return page.dtype in (np.uint8, np.bool_) and bands in (1, 3)


def _read_tiff(path: Path) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        if page.imagewidth * page.imagelength > MAX_PIXELS:
            raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels; cut it into parts.")
        pixels = page.asarray()
        if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, 2)
        alpha = sum(kind in ALPHA for kind in page.extrasamples)
    return pixels[..., : pixels.shape[2] - alpha] if pixels.ndim == 3 else pixels


def _is_deep_png(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(PNG_COLOR + 1)
    return head.startswith(PNG_HEAD) and head[PNG_DEPTH] == 16 and head[PNG_COLOR] in PNG_RGB


def _read_deep(path: Path) -> NDArray[Any]:
    if _is_deep_png(path):
        import cv2

        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags)
        if pixels is None:
            raise DataError(f"{path} is damaged or cut short; copy or export it again.")
        return np.ascontiguousarray(pixels[..., 2::-1])
    with Image.open(path) as image:
        return np.array(image)


def _bands(number: int) -> str:
    return f"{number} band{'s' * (number != 1)}"
