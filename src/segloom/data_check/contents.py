"""Reading every pair of a data set and counting what is in it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segloom.errors import DataError
from segloom.images.pixels import read_pixels
from segloom.images.read import is_turned, orientation
from segloom.labels.smear import flat_pixels
from segloom.labels.stored import StoredLabels, read_labels

__all__ = ["Contents", "FilePair", "ValueCount", "few", "read_contents", "rgb", "spell", "spread"]

Member = TypeVar("Member")

MAX_VALUES = 4096
"""Different values that are counted; label maps with more are none."""
SAME_SIDES = (2, 3, 4)
"""EXIF orientations that mirror an image or turn it over, and leave its width and height."""
FEW_SHADES = 4
"""So many values are never those of a smear."""
MAX_FLAT = 100_000
"""Different values of flat pixels that are counted; photographs have more."""


@dataclass(frozen=True)
class FilePair:
    """One image with its label map."""

    split: str
    """Empty if the folders are not divided."""
    image: Path
    mask: Path


@dataclass
class ValueCount:
    """How often a stored value occurs."""

    pixels: int = 0
    files: int = 0


@dataclass
class Contents:
    """What all files together hold."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Height and width of the images, with their numbers."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Of the label files: bit, grey, palette or color."""
    values: dict[int, ValueCount] = field(default_factory=dict)
    """Stored values of the label files that hold no colours."""
    colors: dict[int, ValueCount] = field(default_factory=dict)
    """Colours ``red << 16 | green << 8 | blue`` of the label files that hold colours."""
    has_many_values: bool = False
    num_lossy: int = 0
    """Label files in a format that changes values (JPEG, lossy WebP)."""
    flat: Counter[int] = field(default_factory=Counter)
    """Stored values, or colours, of pixels like all their neighbours, of files that may be smeared
    (`segloom.labels.smear`); of the others, of all pixels."""
    num_smeared: int = 0
    """Lossless label files with more values than their areas have, as interpolation leaves them."""
    palettes: Counter[bytes] = field(default_factory=Counter)
    """Palettes of the label files, 768 bytes each."""
    shown: dict[int, set[int]] = field(default_factory=dict)
    """Palette index to the colours that it has in the files that use it."""
    zero: list[int] = field(default_factory=lambda: [0, 0])
    """Pixels of value 0, and those of them further than 2 pixels from any other value."""
    like_neighbour: list[int] = field(default_factory=lambda: [0, 0])
    """Pixels that equal the pixel at their left, and all pixels that have one; no colours."""
    near_binary: list[int] = field(default_factory=lambda: [0, 0])
    """Grey pixels near black or white, and all."""
    damaged: list[str] = field(default_factory=list)
    """One sentence per file that cannot be read."""
    mismatched: list[str] = field(default_factory=list)
    """One sentence per pair whose sizes differ."""
    num_turned: int = 0
    """Of these, the ones whose sizes would be equal without the EXIF orientation of the image."""
    turned_alone: list[str] = field(default_factory=list)
    """Pairs of which the EXIF orientation turns over or mirrors the image alone."""
    hashes: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    """Digest of an image file to the splits and files that have it."""
    num_read: int = 0
    """Pairs of which both files could be read."""

    def color_codes(self) -> Counter[int]:
        """Count the pixels of every colour, those of other label files by what they show."""
        codes: Counter[int] = Counter()
        for value, count in self.values.items():
            codes[min(self.shows(value))] += count.pixels
        codes.update({code: n.pixels for code, n in self.colors.items()})
        return codes

    def shows(self, value: int) -> set[int]:
        """Return the colours of a stored value: a palette's, or three equal channels."""
        found = set(self.shown.get(value, ()))
        if value == 1 and self.kinds["bit"]:
            found.add(0xFFFFFF)
        return found or {value * 0x010101}


def rgb(code: int) -> tuple[int, int, int]:
    """Split ``red << 16 | green << 8 | blue``."""
    return code >> 16, code >> 8 & 255, code & 255


def spell(color: tuple[int, int, int]) -> str:
    """Write a colour as the keys of data.label_map do."""
    return ",".join(map(str, color))


def few(members: Sequence[Member], number: int) -> Sequence[Member]:
    """Choose a number of members, evenly spread."""
    return members[:: max(1, len(members) // number)][:number]


def spread(members: Sequence[Member], limit: int | None) -> Sequence[Member]:
    """Choose at most so many members, evenly spread; None takes all."""
    return members[:: max(1, -(-len(members) // limit))] if limit else members


def read_contents(
    pairs: Sequence[FilePair], progress: Callable[[int, int], None] | None = None
) -> Contents:
    """Read pairs, never stopping at one that cannot be read.

    Args:
        pairs: Files.
        progress: Called after each pair with the number done and the number of all.
    """
    contents = Contents()
    for number, pair in enumerate(pairs, 1):
        _read_pair(contents, pair)
        if progress:
            progress(number, len(pairs))
    return contents


def _read_pair(contents: Contents, pair: FilePair) -> None:
    shape = None
    try:
        shape = read_pixels(pair.image).shape[:2]
        contents.sizes[shape] += 1
        digest = hashlib.sha256(pair.image.read_bytes()).hexdigest()
        contents.hashes.setdefault(digest, []).append((pair.split, pair.image))
    except (DataError, OSError) as error:
        contents.damaged.append(str(error))
    try:
        stored = read_labels(pair.mask)
    except DataError as error:
        contents.damaged.append(str(error))
        return
    _count(contents, stored)
    if shape is None:
        return
    contents.num_read += 1
    if stored.pixels.shape[:2] != shape:
        is_exif = stored.pixels.shape[1::-1] == shape and is_turned(pair.image)
        why = ", which its EXIF orientation has turned" if is_exif else ""
        contents.mismatched.append(
            f"{pair.mask} is {_by(stored.pixels.shape)} but its image {pair.image} is "
            f"{_by(shape)}{why}"
        )
        contents.num_turned += is_exif
    elif orientation(pair.image) in SAME_SIDES and orientation(pair.mask) == 1:
        contents.turned_alone.append(f"{pair.image} with {pair.mask}")


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _count(contents: Contents, stored: StoredLabels) -> None:
    contents.kinds[stored.kind] += 1
    contents.num_lossy += stored.is_lossy
    codes = _codes(stored)
    values, counts = np.unique(codes, return_counts=True)
    if stored.colors is not None:
        contents.palettes[stored.colors.tobytes()] += 1
        colors = stored.colors.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
        for value in values.tolist():
            contents.shown.setdefault(value, set()).add(int(colors[value]))
    _count_flat(contents, stored, codes, values, counts)
    if stored.kind in ("grey", "bit"):
        near = (values < 40) | (values > 215)
        contents.near_binary[0] += int(counts[near].sum())
        contents.near_binary[1] += int(counts.sum())
    if len(values) > MAX_VALUES:
        contents.has_many_values = True
        keep = np.argsort(-counts)[:MAX_VALUES]
        values, counts = values[keep], counts[keep]
    found = contents.colors if stored.kind == "color" else contents.values
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        if value not in found and len(found) >= MAX_VALUES:
            contents.has_many_values = True
            continue
        entry = found.setdefault(value, ValueCount())
        entry.pixels += count
        entry.files += 1
    _count_zero(contents, codes)
    if stored.kind != "color":
        contents.like_neighbour[0] += int((codes[:, 1:] == codes[:, :-1]).sum())
        contents.like_neighbour[1] += codes[:, 1:].size


def _count_flat(
    contents: Contents,
    stored: StoredLabels,
    codes: NDArray[np.integer],
    values: NDArray[np.integer],
    counts: NDArray[np.integer],
) -> None:
    if stored.kind in ("grey", "color") and (stored.is_lossy or len(values) > FEW_SHADES):
        flat = codes[flat_pixels(stored.pixels, is_lossy=stored.is_lossy)]
        areas, counts = np.unique(flat, return_counts=True)
        lossless = not stored.is_lossy
        contents.num_smeared += lossless and len(values) >= len(areas) + FEW_SHADES
        values = areas
    if len(contents.flat) < MAX_FLAT:
        contents.flat.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _codes(stored: StoredLabels) -> NDArray[np.integer]:
    if stored.kind != "color":
        return stored.pixels
    weights = np.array([1 << 16, 1 << 8, 1], np.int32)
    codes: NDArray[np.int32] = stored.pixels.astype(np.int32) @ weights
    return codes


def _count_zero(contents: Contents, codes: NDArray[np.integer]) -> None:
    """Tell areas of value 0 from outlines of value 0, which mean void."""
    import cv2

    zero = (codes == 0).astype(np.uint8)
    contents.zero[0] += int(zero.sum())
    contents.zero[1] += int(cv2.erode(zero, np.ones((5, 5), np.uint8)).sum())
