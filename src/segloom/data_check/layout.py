"""Finding out where images and label maps lie in a folder that nobody has described.

A layout is said in the words of the folder reader's options, so what is found can be used as it is:
images/masks, img/label, X + Xannot, leftImg8bit/gtFine, trainx/trainy, one folder with x and
x_mask, each divided into splits or not.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from segloom.data.locate import core, shared_stem
from segloom.data.pairing import SPLIT_NAMES
from segloom.data_check.contents import few
from segloom.errors import DataError
from segloom.images.read import DATA_ENDINGS, irregular, is_hidden
from segloom.labels.stored import read_labels

__all__ = [
    "Layout",
    "Side",
    "Tree",
    "find_layout",
    "nested",
    "scan",
    "several_masks",
    "shared_ends",
    "side_of",
    "two_values",
]

MASK_WORDS = ("mask", "label", "annot", "gt", "groundtruth", "seg", "target", "truth")
IMAGE_WORDS = ("image", "img", "rgb", "photo", "picture", "input", "leftimg", "jpeg", "stills")
CALLED_SO = ("image", "images", "img", "imgs")
ROLES = frozenset(
    {"x", "y", "annot", "annotations", "images", "image", "img", "imgs"}
    | {"masks", "mask", "labels", "label", "gt"}
)
"""What may follow a split's name without a separator, as in trainannot."""

BEST_FACTOR = 1.6
"""More than all that a pair of folders is credited with for its looks and names."""
NO_ENDING = 8
"""Endings up to this length are preferred to names that are only alike in what counts."""
SURE = 0.5
"""Likeness from which files are rather label maps than photographs."""
LOOK_AT = 5
"""Files of a folder that are looked at."""
MAX_TEMPLATES = 80
"""Folders that are compared; beyond, only those with most images."""


@dataclass(frozen=True)
class Layout:
    """Where pairs lie, in the words of `DataConfig`."""

    images: str
    masks: str
    image_ending: str = ""
    mask_ending: str = ""
    splits: tuple[str, ...] = ()
    """The splits that have folders of their own; none if all share one."""


@dataclass
class Tree:
    """The image files below a folder."""

    root: Path
    stems: dict[str, list[str]] = field(default_factory=dict)
    """Folder, relative with ``/``, to the stems of all image files below it."""
    samples: dict[str, list[Path]] = field(default_factory=dict)
    """Folder to all image files below it, in order."""
    others: Counter[str] = field(default_factory=Counter)
    """Endings of files that are no images, with their numbers."""
    irregular: list[str] = field(default_factory=list)
    """A sentence for each thing that is named like an image and is none."""
    num_images: int = 0


@dataclass(frozen=True)
class Side:
    """One set of folders that may hold images or label maps."""

    template: str
    folders: tuple[tuple[str, str], ...]
    """Pairs of split (empty if not divided) and folder."""

    @property
    def splits(self) -> frozenset[str]:
        """The splits that have a folder; an empty name if they share one."""
        return frozenset(split for split, _ in self.folders)


def scan(root: Path) -> Tree:
    """List the image files below a folder; hidden files and folders are left out."""
    tree = Tree(root)
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not is_hidden(name))
        inside = Path(folder).relative_to(root)
        images = _sort_out(tree, Path(folder), names, files)
        tree.num_images += len(images)
        for ancestor in (inside, *inside.parents) if images else ():
            tree.stems.setdefault(ancestor.as_posix(), []).extend(path.stem for path in images)
            tree.samples.setdefault(ancestor.as_posix(), []).extend(images)
    return tree


def _sort_out(tree: Tree, folder: Path, names: list[str], files: list[str]) -> list[Path]:
    """Return the images of a folder, and note what else lies in it; ``names`` are its folders."""
    images = []
    for name in sorted([*files, *names]):
        path = folder / name
        suffix = path.suffix.lower()
        if is_hidden(name):
            continue
        if suffix in DATA_ENDINGS and (fault := irregular(path)) is not None:
            tree.irregular.append(fault)
        elif name in names:
            continue
        elif suffix in DATA_ENDINGS:
            images.append(path)
        else:
            tree.others[suffix or "no ending"] += 1
    return images


def several_masks(tree: Tree) -> dict[str, list[str]]:
    """Find images with several label maps each, as tools write one per class or per object.

    Returns:
        Stem of an image to the stems that go on after it, ``x`` to ``x_crack`` and ``x_road``;
        nothing if most images have one.
    """
    stems = set(tree.stems.get(".", ()))
    groups: dict[str, list[str]] = {}
    for stem in sorted(stems):
        for tail in _tails(stem):
            if (base := stem.removesuffix(tail)) in stems:
                groups.setdefault(base, []).append(stem)
    found = {base: names for base, names in groups.items() if len(names) > 1}
    return found if len(found) > 1 and 2 * len(found) >= len(groups) else {}


def find_layout(tree: Tree) -> Layout | None:
    """Choose the layout that pairs most images with something that looks like label maps."""
    found = side_of(tree)
    # A folder called images holds images, be they black and white.
    unnamed = (side for side in found if PurePosixPath(side.template).name.lower() not in CALLED_SO)
    drawn = {side.template for side in unnamed if _is_drawn(tree, side)}
    best: tuple[float, Layout | None] = (0.0, None)
    for images in found:
        for score, layout in _one_folder(tree, images):
            best = max(best, (score, layout), key=lambda found: found[0])
        for masks in found:
            if images.template in drawn or _most(tree, images, masks) * BEST_FACTOR <= best[0]:
                continue  # so that a tree of many folders does not take long
            for score, layout in _two_folders(tree, images, masks):
                best = max(best, (score, layout), key=lambda found: found[0])
    return best[1]


def side_of(tree: Tree) -> list[Side]:
    """List the folders that may hold images or label maps, those with most files first."""
    groups: dict[str, dict[str, str]] = {}
    for folder in tree.stems:
        groups.setdefault(folder, {})[""] = folder
        template, split = _template(folder)
        if split:
            groups.setdefault(template, {}).setdefault(split, folder)
    listed = [Side(template, tuple(sorted(found.items()))) for template, found in groups.items()]
    listed.sort(key=lambda side: -sum(len(tree.stems[folder]) for _, folder in side.folders))
    return listed[:MAX_TEMPLATES]


def _template(folder: str) -> tuple[str, str]:
    """Replace a split's name in a path: ``("data/{split}annot", "train")``, or no split."""
    parts, split, name = [], "", ""
    for part in PurePosixPath(folder).parts:
        found = _split_in(part)
        if found and (not name or found[1] == name):
            split, name, place = found
            part = part[:place] + "{split}" + part[place + len(name) :]
        parts.append(part)
    return "/".join(parts), split


def _split_in(part: str) -> tuple[str, str, int] | None:
    """Find a split in a folder's name: which, by which of its names, and where."""
    low = part.lower()
    names = [(name, split) for split, all_names in SPLIT_NAMES.items() for name in all_names]
    for name, split in sorted(names, key=lambda pair: -len(pair[0])):
        rest = low[len(name) :]
        if low.startswith(name) and (not rest or not rest[0].isalpha() or rest in ROLES):
            return split, name, 0
        if re.search(rf"[^a-z0-9]{name}$", low):
            return split, name, len(low) - len(name)
    return None


def _most(tree: Tree, images: Side, masks: Side) -> int:
    """The most pairs that two sides can have; 0 if they do not go together."""
    common = images.splits & masks.splits
    if images is masks or not common or nested(images.template, masks.template):
        return 0
    numbers = [
        {split: len(tree.stems[folder]) for split, folder in side.folders}
        for side in (images, masks)
    ]
    return sum(min(numbers[0][split], numbers[1][split]) for split in common)


def nested(first: str, second: str) -> bool:
    """Return whether one of two folders lies in the other."""
    one, two = PurePosixPath(first), PurePosixPath(second)
    return one in two.parents or two in one.parents


def _two_folders(tree: Tree, images: Side, masks: Side) -> Iterator[tuple[float, Layout]]:
    common = images.splits & masks.splits
    image_stems = {split: tree.stems[f] for split, f in images.folders if split in common}
    mask_stems = {split: tree.stems[f] for split, f in masks.folders if split in common}
    pairs = [(image_stems[split], mask_stems[split]) for split in common]
    matched, image_ending, mask_ending = _best_ends(pairs)
    if matched:
        photo = 1 - 0.3 * _likeness(tree, images, image_ending)  # microscopy has few greys too
        label = _likeness(tree, masks, mask_ending)
        score = matched * photo * label * _names(images.template, masks.template)
        score *= 1.01 if "" not in common else 1.0  # divided by folders says more
        score *= 1 - 0.001 * len(PurePosixPath(images.template).parts)
        splits = _in_order(common)
        yield score, Layout(images.template, masks.template, image_ending, mask_ending, splits)


def _best_ends(pairs: list[tuple[list[str], list[str]]]) -> tuple[int, str, str]:
    """Choose the ends of images and of label maps that match most stems, and count these."""
    same = sum(len(_cores(images) & _cores(masks)) for images, masks in pairs)
    best = (same, -NO_ENDING, "", "")
    for image_ending in shared_ends(images for images, _ in pairs):
        for mask_ending in shared_ends(masks for _, masks in pairs):
            matched = _matched(pairs, image_ending, mask_ending)
            best = max(best, (matched, -len(image_ending + mask_ending), image_ending, mask_ending))
    matched, _, image_ending, mask_ending = best
    return matched, image_ending, mask_ending


def _matched(
    pairs: Iterable[tuple[Iterable[str], Iterable[str]]], image_ending: str, mask_ending: str
) -> int:
    """Count the stems of images and of label maps that agree without their ends."""
    return sum(
        len(_cut(images, image_ending) & _cut(masks, mask_ending)) for images, masks in pairs
    )


def _in_order(splits: frozenset[str]) -> tuple[str, ...]:
    return tuple(split for split in SPLIT_NAMES if split in splits)


def _one_folder(tree: Tree, side: Side) -> Iterator[tuple[float, Layout]]:
    """Images and label maps side by side, told apart by the ends of their names."""
    stems = {split: set(tree.stems[folder]) for split, folder in side.folders}
    names = [name for group in stems.values() for name in group]
    for ends in (_tails, _heads):
        found = Counter(end for name in names for end in ends(name))
        yield from _by_ends(tree, side, stems, [end for end, _ in found.most_common(8)])


def _by_ends(
    tree: Tree, side: Side, stems: dict[str, set[str]], frequent: list[str]
) -> Iterator[tuple[float, Layout]]:
    splits = _in_order(side.splits)
    pairs = [(names, names) for names in stems.values()]
    least = max(1, 0.3 * sum(map(len, stems.values())))
    for mask_ending in frequent:
        likeness = _likeness(tree, side, mask_ending)
        if mask_ending.endswith("*") and likeness < SURE:
            continue  # any two kinds of photographs may begin alike
        for image_ending in ("", *frequent):
            if image_ending == mask_ending:
                continue
            matched = _matched(pairs, image_ending, mask_ending)
            if matched >= least and not _is_drawn(tree, side, image_ending, mask_ending):
                score = matched * likeness * _names("", mask_ending)
                layout = Layout(side.template, side.template, image_ending, mask_ending, splits)
                yield score * (1.01 if splits else 1.0), layout


def _tails(stem: str) -> list[str]:
    """Every end of a stem that begins with a separator: ``["_gt_color", "_color"]``."""
    return [stem[found.start() :] for found in re.finditer(r"[_\-.]", stem) if found.start()]


def _heads(stem: str) -> list[str]:
    """The letters before a number: ``["mask_*"]``."""
    found = re.match(r"[^\W\d_]+[_\-. ]*(?=\d)", stem)
    return [f"{found[0]}*"] if found else []


def _cores(stems: Iterable[str]) -> set[str]:
    """What tells the samples apart, of those that it tells apart."""
    found = Counter(core(stem) for stem in stems)
    return {name for name, number in found.items() if number == 1}


def shared_ends(groups: Iterable[list[str]]) -> list[str]:
    """Ends that all stems share, and none."""
    stems = [stem for group in groups for stem in group]
    if len(stems) < 2:
        return ["", *(_tails(stems[0]) if stems else [])]
    shared = os.path.commonprefix([stem[::-1] for stem in stems])[::-1]  # noqa: RUF071
    starts = [found.start() for found in re.finditer(r"[_\-.]", shared)]
    return ["", *(shared[start:] for start in starts)]


def _cut(stems: Iterable[str], ending: str) -> set[str]:
    """Stems without an ending; those that lack it are left out."""
    cut = ((stem, shared_stem(stem, ending)) for stem in stems)
    return {rest for stem, rest in cut if rest is not None and (rest != stem or not ending)}


def _names(images: str, masks: str) -> float:
    """How well names fit the roles; 1 says nothing."""
    image, mask = images.lower(), masks.lower()
    score = 1.25 if any(word in mask for word in MASK_WORDS) else 1.0
    score *= 1.1 if any(word in image for word in IMAGE_WORDS) else 1.0
    score *= 0.7 if any(word in image for word in MASK_WORDS) else 1.0
    score *= 1.05 if "trainid" in mask or "labelid" in mask else 1.0
    return score


def _likeness(tree: Tree, side: Side, ending: str) -> float:
    """How much the files of one side look like label maps: 0.05 (a photograph) to 1."""
    files = [path for path in _samples(tree, side) if shared_stem(path.stem, ending) is not None]
    looks = [_look(path) for path in few(files, LOOK_AT)]
    return float(np.mean(looks)) if looks else 0.5


def _is_drawn(tree: Tree, side: Side, ending: str = "", other: str | None = None) -> bool:
    """Return whether files are black and white, as masks are and no photograph is.

    Args:
        tree: All files.
        side: Where they lie.
        ending: Which of them count.
        other: Which of these do not count.
    """
    files = [
        path
        for path in _samples(tree, side)
        if shared_stem(path.stem, ending) is not None
        and (other is None or shared_stem(path.stem, other) is None)
    ]
    found = [two_values(path) for path in few(files, LOOK_AT)]
    return None not in found and {value for values in found for value in values or ()} == {0, 255}


def _samples(tree: Tree, side: Side) -> list[Path]:
    return [path for _, folder in side.folders for path in tree.samples[folder]]


@lru_cache(maxsize=4096)
def two_values(path: Path) -> frozenset[int] | None:
    """Return the values of a mask; None if there are others than 0 and 255."""
    try:
        stored = read_labels(path)
    except DataError:
        return None
    pixels = stored.pixels * 255 if stored.kind == "bit" else stored.pixels
    values = frozenset(np.unique(pixels).tolist())
    return values if values <= {0, 255} else None


@lru_cache(maxsize=4096)
def _look(path: Path) -> float:
    try:
        stored = read_labels(path)
    except DataError:
        return 0.5
    if stored.kind == "color":
        codes = stored.pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        return 0.9 if len(np.unique(codes)) <= 64 else 0.05
    values, counts = np.unique(stored.pixels, return_counts=True)
    if len(values) <= 64:
        return 1.0
    extreme = counts[(values < 40) | (values > 215)].sum() / counts.sum()
    return 0.8 if extreme > 0.9 else 0.05
