"""What splits share: groups that stand in two of them, and images that look alike.

Images are compared by a difference hash of 16 x 16 bits: the sign of the step from each pixel to
its right neighbour, after the image was made 17 x 16 pixels large. Copies, other sizes and other
compressions agree in nearly every bit, unrelated images in half.

Axes: N images of one split, M of another, B bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.readers import read_source
from segloom.data.source import SPLITS
from segloom.data_check.finding import Finding
from segloom.errors import DataError, NoSplitError
from segloom.images.read import read_image
from segloom.labels.pictures import montage, write_image
from segloom.types import Record

__all__ = ["Leakage", "Lookalike", "difference_hash", "draw_lookalikes", "find_leakage"]

SIDE = 16
MOST_BITS = 12
"""Different bits, of 256, up to which two images are near-duplicates."""
FEWEST_EDGES = 16
"""Bits that must be set, and as many not: a flat image looks like every other flat one."""
CHUNK = 4096


@dataclass(frozen=True)
class Lookalike:
    """Two images of different splits that are nearly the same."""

    splits: tuple[str, str]
    images: tuple[Path, Path]
    num_bits: int
    """Bits in which their hashes differ, of 256."""


@dataclass(frozen=True)
class Leakage:
    """What splits have in common."""

    findings: tuple[Finding, ...]
    lookalikes: tuple[Lookalike, ...]
    """The most alike first."""


def find_leakage(
    config: DataConfig, *, progress: Callable[[int, int], None] | None = None
) -> Leakage:
    """Compare every two splits of a data set.

    Args:
        config: How it is read, with ``group_by`` if the reader does not know the groups.
        progress: Called with the number of images hashed and the number to hash.

    Raises:
        DataError: The data set cannot be read, or has no two splits.
    """
    splits: dict[str, tuple[Record, ...]] = {}
    for split in SPLITS:
        try:
            splits[split] = read_source(config, split).records
        except NoSplitError:
            continue
    if len(splits) < 2:
        raise DataError(
            f"{config.root} has only the split {', '.join(splits) or 'none'}, so nothing can leak "
            "between splits; leave --leakage out."
        )
    pairs = list(combinations(splits, 2))
    shared = [f for one, other in pairs if (f := _shared(one, other, splits))]
    hashes = _hash_all(splits, progress)
    found = [item for one, other in pairs for item in _alike(one, other, hashes)]
    found.sort(key=lambda item: (item.num_bits, item.images))
    return Leakage((*shared, *_describe(found, pairs)), tuple(found))


def _shared(one: str, other: str, splits: dict[str, tuple[Record, ...]]) -> Finding | None:
    """Name the groups that stand in two splits."""
    groups = {record.place.group for record in splits[one]} - {""}
    seen = [record for record in splits[other] if record.place.group in groups]
    if not seen:
        return None
    names = list(dict.fromkeys(record.place.group for record in seen))
    share = 100 * len(seen) / len(splits[other])
    message = (
        f"{share:.0f} % of {other} ({len(seen)} of {len(splits[other])} images) come from groups "
        f"that are in {one} too: {', '.join(names[:8])}{', ...' * (len(names) > 8)}."
    )
    return Finding("note", "shared-groups", message)


def _hash_all(
    splits: dict[str, tuple[Record, ...]], progress: Callable[[int, int], None] | None
) -> dict[str, dict[Path, NDArray[np.bool_]]]:
    """Hash every image file; volumes have no hash."""
    files = {
        split: list(dict.fromkeys(record.image for record in records))
        for split, records in splits.items()
    }
    total, done = sum(map(len, files.values())), 0
    hashes: dict[str, dict[Path, NDArray[np.bool_]]] = {}
    for split, paths in files.items():
        hashes[split] = {}
        for path in paths:
            bits = _hash_file(path)
            if bits is not None and FEWEST_EDGES <= bits.sum() <= bits.size - FEWEST_EDGES:
                hashes[split][path] = bits
            done += 1
            if progress:
                progress(done, total)
    return hashes


def _hash_file(path: Path) -> NDArray[np.bool_] | None:
    try:
        return difference_hash(read_image(path))
    except DataError:  # volumes and damaged files: the check itself names the latter
        return None


def difference_hash(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the hash of an image uint8 ``(H, W, 3)``: bool ``(256,)``."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits: NDArray[np.bool_] = (np.diff(small, axis=1) > 0).ravel()
    return bits


def _alike(
    one: str, other: str, hashes: dict[str, dict[Path, NDArray[np.bool_]]]
) -> Iterator[Lookalike]:
    """Find the closest image of the first split for every one of the second."""
    first, second = hashes[one], hashes[other]
    if not first or not second:
        return
    names = list(first)
    signs = np.stack(list(first.values())).astype(np.float32) * 2 - 1  # (N, B)
    paths = list(second)
    for start in range(0, len(paths), CHUNK):
        part = paths[start : start + CHUNK]
        own = np.stack([second[path] for path in part]).astype(np.float32) * 2 - 1  # (M, B)
        agreement = own @ signs.T  # equal bits less different ones
        best = agreement.argmax(1)
        for row, path in enumerate(part):
            differing = int(signs.shape[1] - agreement[row, best[row]]) // 2
            if differing <= MOST_BITS:
                yield Lookalike((one, other), (names[best[row]], path), differing)


def _describe(found: list[Lookalike], pairs: list[tuple[str, str]]) -> Iterator[Finding]:
    for one, other in pairs:
        own = [item for item in found if item.splits == (one, other)]
        for is_copy, kind, what in (
            (True, "copies", "look exactly like"),
            (False, "near-duplicates", "look nearly like"),
        ):
            chosen = [item for item in own if (item.num_bits == 0) == is_copy]
            if chosen:
                yield Finding(
                    "problem" if is_copy else "note",
                    kind,
                    f"{len(chosen)} image{'s' * (len(chosen) > 1)} of {other} {what} one of {one}; "
                    "leave them out of one of the two, or say so beside every score.",
                    tuple(f"{item.images[1]} and {item.images[0]}" for item in chosen),
                )


def draw_lookalikes(found: Leakage, path: Path, *, number: int = 12) -> None:
    """Draw the most alike pairs, one at least, side by side into one picture file.

    Raises:
        DataError: A file cannot be read.
    """
    rows = [
        montage(
            [
                (f"{split}: {image.name}", read_image(image))
                for split, image in zip(item.splits, item.images, strict=True)
            ]
        )
        for item in found.lookalikes[:number]
    ]
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, 8), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    write_image(path, np.concatenate(padded))
