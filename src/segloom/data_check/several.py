"""Finding images with several masks each: what the reader ``mask_files`` reads, in its options."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from segloom.data.class_masks import is_mask
from segloom.data.locate import shared_stem
from segloom.data.mask_names import NamedMask, assign_masks, masks_among
from segloom.data_check.contents import few
from segloom.data_check.layout import (
    Side,
    Tree,
    nested,
    shared_ends,
    side_of,
    two_values,
)

__all__ = ["find_bands", "find_mask_files"]

BAND = re.compile(
    r"(?<![a-z0-9])(b\d{1,2}a?|band[_ ]?\d{1,2}|nir|red|green|blue|rededge|swir\d?)(?![a-z0-9])",
    re.IGNORECASE,
)
"""Names of bands, as Sentinel-2, Landsat and multispectral cameras write them."""

LOOK_AT = 8
"""Masks that are looked at."""
MOST = 0.8
"""Of masks that must be masks, and must have an image."""
NEAR = 0.95
"""A layout that uses fewer files than this share of what another uses is a part of it."""
MAX_FOLDERS = 16
"""Templates that are combined; beyond, only those with most files."""


@dataclass(frozen=True)
class _Candidate:
    options: dict[str, str]
    found: dict[Path, list[NamedMask]]
    """Masks by image, of all splits."""
    num_lonely: int
    num_splits: int

    @property
    def score(self) -> tuple[int, int, bool, int]:
        """Files that go together less those left over, then what says more."""
        used = sum(map(len, self.found.values())) - self.num_lonely
        used += sum(1 if masks else -1 for masks in self.found.values())
        is_apart = self.options["images"] != self.options["masks"]
        depth = self.options["images"].count("/") + len(self.options.get("image_ending", ""))
        return used, self.num_splits, is_apart, -depth

    def is_likely(self) -> bool:
        """Return whether enough images have several masks, and these look like masks."""
        return self._has_several() and self._shows_masks()

    def _has_several(self) -> bool:
        own = list(filter(None, self.found.values()))
        several = [masks for masks in own if len(masks) > 1]
        if not several or (len(several) < 2 and 4 * len(several) < len(own)):
            return False
        if 2 * len(own) < len(self.found) or self.num_lonely > (1 - MOST) * sum(map(len, own)):
            return False
        # One that is alone is a label map, and the others are further pictures of the image.
        return not any(mask.is_alone for some in several for mask in some)

    def _shows_masks(self) -> bool:
        pictures = few(list(self.found), LOOK_AT)
        if 2 * sum(two_values(path) is not None for path in pictures) > len(pictures):
            return False  # masks of masks
        chosen = few(list(chain.from_iterable(self.found.values())), LOOK_AT)
        return sum(is_mask(mask.path) for mask in chosen) >= MOST * len(chosen)


def find_bands(tree: Tree) -> tuple[str, ...]:
    """Name the bands of images that lie in a file per band; empty if they do not."""
    found: dict[str, list[str]] = {}
    for path in tree.samples.get(".", []):
        name = path.relative_to(tree.root).with_suffix("").as_posix()
        for band in BAND.finditer(name):
            rest = f"{name[: band.start()]}*{name[band.end() :]}"
            found.setdefault(rest, []).append(band[0])
    sets = Counter(tuple(bands) for bands in found.values() if len(bands) > 1)
    bands, number = max(sets.items(), key=lambda item: item[1], default=((), 0))
    return bands if number > 1 and 2 * number >= sets.total() else ()


def find_mask_files(tree: Tree) -> dict[str, object] | None:
    """Return the options of `DataConfig` that read a folder of images with several masks each.

    Returns:
        None if it is no such folder.
    """
    candidates = sorted(_candidates(tree), key=lambda one: one.score, reverse=True)
    most = candidates[0].score[0] if candidates else 0
    near = (one for one in candidates if one.score[0] >= NEAR * most)
    best = next((one for one in near if one.is_likely()), None)
    return {"name": "mask_files", **best.options} if best else None


def _candidates(tree: Tree) -> Iterator[_Candidate]:
    folders = side_of(tree)[:MAX_FOLDERS]
    for images in folders:
        for masks in folders:
            if images is masks or not nested(images.template, masks.template):
                yield from _by_ends(tree, images, masks)


def _by_ends(tree: Tree, images: Side, masks: Side) -> Iterator[_Candidate]:
    common = images.splits & masks.splits
    if not common:
        return
    ends = [""]
    if images is not masks:
        ends = shared_ends([tree.stems[folder] for split, folder in images.folders])
    for ending in ends:
        found: dict[Path, list[NamedMask]] = {}
        num_lonely = num_splits = 0
        for split in common:
            sorted_in, lonely = _assign(tree, images, masks, split, ending)
            if any(sorted_in.values()):  # a test set may have no masks
                found |= sorted_in
                num_lonely += len(lonely)
                num_splits += bool(split)
        options = {"images": images.template, "masks": masks.template}
        if num_splits != 1:  # one split alone cannot be trained on
            yield _Candidate(
                {**options, "image_ending": ending} if ending else options,
                found,
                num_lonely,
                num_splits,
            )


def _assign(
    tree: Tree, images: Side, masks: Side, split: str, ending: str
) -> tuple[dict[Path, list[NamedMask]], list[Path]]:
    """Assign the masks of a split, by the files rather than by their keys."""
    folders = dict(images.folders)[split], dict(masks.folders)[split]
    image_keys = _keys(tree, folders[0], ending)
    if images is masks:
        mask_keys = masks_among(image_keys)
        image_keys = {key: path for key, path in image_keys.items() if key not in mask_keys}
    else:
        mask_keys = _keys(tree, folders[1], "")
    found, lonely = assign_masks(image_keys, mask_keys)
    return {image_keys[key]: own for key, own in found.items()}, lonely


def _keys(tree: Tree, folder: str, ending: str) -> dict[Path, Path]:
    root = tree.root / folder
    keys = {}
    for path in tree.samples[folder]:
        stem = shared_stem(path.stem, ending)
        if stem is not None:
            keys[path.relative_to(root).with_name(stem)] = path
    return keys
