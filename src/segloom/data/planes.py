"""One sample as numpy arrays, and how it is decoded from its files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from segloom.errors import DataError
from segloom.images.pixels import PixelFormat
from segloom.images.read import is_turned, read_image
from segloom.labels.decoder import LabelDecoder
from segloom.types import Record

__all__ = [
    "FileDecoder",
    "PlainDecoder",
    "Planes",
    "SampleDecoder",
    "check_size",
    "decode_sample",
    "read_edges",
    "with_pixels",
]


class Planes(NamedTuple):
    """An image with its label map and, if the data set has them, its edges; all of one size."""

    image: NDArray[np.uint8]
    """``(H, W, C)``, 0 to 255; RGB, or the bands of `PixelFormat`."""
    mask: NDArray[np.integer]
    """uint8 ``(H, W)``, class ids and 255 for void; for classes that overlap their bits, of
    `segloom.labels.bits.label_type`."""
    edge: NDArray[np.uint8] | None = None
    """``(H, W)``, 0 to 255."""


class SampleDecoder(Protocol):
    """How a sample is read from its files; it must survive pickling."""

    @property
    def is_sequential(self) -> bool:
        """Whether samples are far cheaper in order, as slices of one compressed volume are."""

    @property
    def fingerprint(self) -> str:
        """Text that differs between decoders that may give different planes for one record."""

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Read a sample; raises `DataError` if its files cannot be used."""


@dataclass(frozen=True)
class FileDecoder:
    """What decoders of samples with an image file share: how its values become bytes."""

    pixels: PixelFormat | None = field(default=None, kw_only=True)
    """None for RGB of 8 bits."""

    def read_image(self, path: Path) -> NDArray[np.uint8]:
        """Read an image ``(H, W, C)``.

        Raises:
            DataError: It cannot be read.
        """
        return self.pixels.read(path) if self.pixels else read_image(path)

    @property
    def pixel_fingerprint(self) -> str:
        """Text that differs where one image file gives other pixels."""
        return self.pixels.fingerprint if self.pixels else ""


def with_pixels(decode: SampleDecoder, pixels: PixelFormat | None) -> SampleDecoder:
    """Return a decoder that reads images so, if it reads image files at all."""
    return replace(decode, pixels=pixels) if isinstance(decode, FileDecoder) else decode


@dataclass(frozen=True)
class PlainDecoder(FileDecoder):
    """Reads an image file and its label map, as `decode_sample` does.

    Args:
        pixels: How the image becomes uint8; None for RGB of 8 bits.
    """

    pixels: PixelFormat | None = None
    is_sequential = False

    @property
    def fingerprint(self) -> str:
        """Text that differs where one file gives other pixels."""
        return self.pixel_fingerprint

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Read a sample."""
        return decode_sample(record, decoder, self.pixels)


def decode_sample(
    record: Record, decoder: LabelDecoder, pixels: PixelFormat | None = None
) -> Planes:
    """Read the files of a sample.

    Args:
        record: Where they lie.
        decoder: What the label map means.
        pixels: How the image becomes uint8; None for RGB of 8 bits.

    Raises:
        DataError: A file is missing or damaged, holds unknown labels, or the sizes differ.
    """
    if record.mask is None:
        raise DataError(f"image {record.image} has no label map; add one or leave the image out.")
    image = pixels.read(record.image) if pixels else read_image(record.image)
    mask = decoder.decode(record.mask)
    check_size(image.shape[:2], mask, record.image, f"label map {record.mask}")
    if record.edge is None:
        return Planes(image, mask)
    return Planes(image, mask, read_edges(record.edge, image, record.image))


def read_edges(path: Path, image: NDArray[np.uint8], name: Path) -> NDArray[np.uint8]:
    """Read an edge map of any kind of picture as grey ``(H, W)``, 0 to 255.

    Args:
        path: The edge map.
        image: Its image ``(H, W, 3)``.
        name: Where that lies, for the message.

    Raises:
        DataError: It is missing, damaged or of another size than the image.
    """
    edge = np.ascontiguousarray(read_image(path)[..., 1])
    check_size(image.shape[:2], edge, name, f"edge map {path}")
    return edge


def check_size(size: tuple[int, ...], other: NDArray[np.integer], path: Path, name: str) -> None:
    """Refuse a map ``(H, W)`` that is not of the size (H, W) of its image, which lies at ``path``.

    Raises:
        DataError: It is not; the sentence begins with ``name``.
    """
    if size != other.shape:
        (height, width), (rows, columns) = size, other.shape
        fix = "export both at one size (width x height)"
        if size == other.shape[::-1] and is_turned(path):
            fix = (
                "the EXIF orientation of the image turns it and was left out when the other was "
                "drawn, so remove it from the image (`exiftool -Orientation= FILE`) or turn the "
                "other"
            )
        raise DataError(
            f"{name} is {columns} x {rows} pixels but its image {path} is {width} x {height}; "
            f"{fix}."
        )
