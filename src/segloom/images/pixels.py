"""Images whose pixels are not three bands of 8 bits: more bands, more bits, floating point.

A `PixelFormat` says what becomes black and white in every band, so that training, evaluation and
prediction see one and the same picture; it is kept with the network.

Axes: C bands, H W image size.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.errors import DataError
from segloom.images.form import as_rgb
from segloom.images.read import MAX_PIXELS, is_slice, read_image

__all__ = ["PixelFormat", "PixelValues", "band_files", "has_plain_pixels", "read_pixels"]

TIFF_ENDINGS = (".tif", ".tiff")
ALPHA = (1, 2)
"""Kinds of a TIFF's extra samples that are transparency and no band."""
PNG_HEAD, PNG_DEPTH, PNG_COLOR = b"\x89PNG\r\n\x1a\n", 24, 25
"""First bytes of a PNG, and the places of its bit depth and its kind of colour."""
PNG_RGB = (2, 6)


class PixelValues(TypedDict, total=False):
    """A `PixelFormat` as JSON values."""

    low: Sequence[float]
    high: Sequence[float]
    mean: Sequence[float]
    std: Sequence[float]
    bands: Sequence[str]
    shown: Sequence[int]


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
    bands: tuple[str, ...] = ()
    """Names of bands that lie in files of their own, see `band_files`; empty where one has all."""
    shown: tuple[int, ...] = ()
    """Bands, from 0, that pictures show as red, green and blue; empty for the first three."""

    @property
    def channels(self) -> int:
        """Channels of what `read` gives; one band is repeated as grey."""
        return 3 if len(self.low) == 1 else len(self.low)

    @property
    def fingerprint(self) -> str:
        """Text that differs where one file gives other pixels."""
        facts = (1, self.low, self.high, *((self.bands,) if self.bands else ()))
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def read(self, path: str | Path) -> NDArray[np.uint8]:
        """Read an image file as uint8 ``(H, W, channels)``.

        Raises:
            DataError: It cannot be read, or has another number of bands.
        """
        return self.scale_file(read_pixels(Path(path), self.bands), Path(path))

    def scale_file(self, pixels: NDArray[np.number], path: Path) -> NDArray[np.uint8]:
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

    def scale(self, pixels: NDArray[np.number]) -> NDArray[np.uint8]:
        """Bring stored values ``(H, W, bands)`` to uint8; what is not finite becomes 0."""
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        scaled = (pixels.astype(np.float32) - low) * (255 / (high - low))
        scaled = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)
        values = np.rint(scaled.clip(0, 255)).astype(np.uint8)
        return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values

    def first_bands(self, files: Sequence[Path]) -> list[Path]:
        """Leave out the files of further bands, where these lie in several files.

        Raises:
            DataError: None is the file of a first band.
        """
        if not self.bands:
            return list(files)
        kept = []
        for file in files:
            with suppress(DataError):
                kept.append(band_files(file, self.bands)[0])
        if files and not kept:
            band_files(files[0], self.bands)  # which says why
        return kept

    def picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Show what `read` gives as RGB ``(H, W, 3)``."""
        return as_rgb(image[..., list(self.shown)] if self.shown else image)

    def to_dict(self) -> dict[str, object]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: PixelValues) -> PixelFormat:
        """Undo `to_dict`."""
        return cls(
            tuple(map(float, values["low"])),
            tuple(map(float, values["high"])),
            tuple(map(float, values["mean"])),
            tuple(map(float, values["std"])),
            bands=tuple(map(str, values.get("bands", ()))),
            shown=tuple(map(int, values.get("shown", ()))),
        )


def _missing(path: Path, error: ImportError) -> DataError:
    package = {"cv2": "opencv-python-headless"}.get(error.name or "", error.name)
    return DataError(f"reading {path} needs {package}; `pip install {package}`.")


def band_files(path: Path, bands: Sequence[str]) -> list[Path]:
    """Name the files of all bands of an image by that of the first.

    In the last part of its path that holds the name of the first band, between signs, that name is
    replaced: ``x_B02.tif`` to ``x_B03.tif``, or ``B02/x.tif`` to ``B03/x.tif``.

    Raises:
        DataError: No part of the path holds it.
    """
    token = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, bands))})(?![A-Za-z0-9])")
    for place in range(len(path.parts) - 1, -1, -1):
        if found := list(token.finditer(path.parts[place])):
            part, (start, end) = path.parts[place], found[-1].span()
            if found[-1][0] != bands[0]:
                break
            names = [f"{part[:start]}{band}{part[end:]}" for band in bands]
            return [Path(*path.parts[:place], name, *path.parts[place + 1 :]) for name in names]
    raise DataError(
        f"{path} does not name the band {bands[0]}, by which the files of {', '.join(bands[1:])} "
        "are found; name it so, or give images of that band."
    )


def has_plain_pixels(path: Path) -> bool:
    """Return whether `read_image` keeps all bands and bits of an image, by its header."""
    if is_slice(path):
        return False
    try:
        if path.suffix.lower() in TIFF_ENDINGS:
            return _is_plain_tiff(path)
        if _is_deep_png(path):
            return False
        with Image.open(path) as image:
            return image.mode not in ("F", "I") and not image.mode.startswith("I;")
    except ImportError as error:
        raise _missing(path, error) from error
    except Exception:  # whoever reads it says what is wrong
        return True


def read_pixels(path: Path, bands: Sequence[str] = ()) -> NDArray[np.number]:
    """Read all bands of an image as they are stored.

    Args:
        path: The image, or the file of its first band.
        bands: Names of the bands, if each lies in a file of its own; see `band_files`.

    Returns:
        ``(H, W, C)``, any type of numbers. Transparency is left out.

    Raises:
        DataError: A file cannot be read, or files of bands do not fit each other.
    """
    if bands:
        return _read_bands(band_files(path, bands))
    if has_plain_pixels(path):
        return read_image(path)
    try:
        if is_slice(path):
            pixels = _read_array(path)
        else:
            pixels = _read_tiff(path) if path.suffix.lower() in TIFF_ENDINGS else _read_deep(path)
    except DataError:
        raise
    except ImportError as error:
        raise _missing(path, error) from error
    except Exception as error:  # decoders meet damage with many kinds of exception
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"{path} cannot be read ({reason}); save it uncompressed or with deflate."
        ) from error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _read_bands(files: Sequence[Path]) -> NDArray[np.number]:
    """Read files of one band each."""
    found: list[NDArray[np.number]] = []
    for path in files:
        if not path.is_file():
            raise DataError(f"the band {path} of the image {files[0]} does not exist; add it.")
        pixels = read_pixels(path)
        if pixels.shape[2] == 3 and (pixels == pixels[..., :1]).all():
            pixels = pixels[..., :1]  # a grey file of 8 bits
        if pixels.shape[2] != 1:
            raise DataError(f"{path} has {_bands(pixels.shape[2])}, but data.bands names one.")
        if found and pixels.shape != found[0].shape:
            (height, width), (rows, columns) = found[0].shape[:2], pixels.shape[:2]
            raise DataError(
                f"{path} is {columns} x {rows} pixels but {files[0]} is {width} x {height}; bring "
                "all bands to one grid, for example with gdalwarp -tr."
            )
        found.append(pixels)
    return np.concatenate(found, axis=2)


def _read_array(path: Path) -> NDArray[np.number]:
    """Read an array of NumPy, channels last; they may come first if that axis is the shortest."""
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    if stored.dtype.kind not in "biuf" or stored.ndim not in (2, 3) or 0 in stored.shape:
        raise DataError(
            f"{path} holds {stored.dtype} of shape {stored.shape}; an image is numbers of the "
            "shape (height, width) or (height, width, channels)."
        )
    if stored.ndim == 3 and stored.shape[0] < min(stored.shape[1:]):
        stored = np.moveaxis(stored, 0, 2)
    if stored.shape[0] * stored.shape[1] > MAX_PIXELS:
        raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels; cut it into parts.")
    return np.array(stored)


def _is_plain_tiff(path: Path) -> bool:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        bands = int(page.samplesperpixel) - sum(kind in ALPHA for kind in page.extrasamples)
        return page.dtype in (np.uint8, np.bool_) and bands in (1, 3)


def _read_tiff(path: Path) -> NDArray[np.number]:
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


def _read_deep(path: Path) -> NDArray[np.number]:
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
