"""Which image a mask belongs to and of which class it is, where an image has several.

    masks/x_nucleus_0.png   masks/x/nucleus_0.png   masks/nucleus/x_0.png   x/masks/0.png

A number at the end counts the objects of a class, and words that only say what a file is (mask,
label, object) do not count; what is left names the class. Names of random digits name none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from segloom.data.locate import plain_name

__all__ = ["MASK_WORDS", "NamedMask", "assign_masks", "class_words", "masks_among"]

SIGNS = r"[_\-. ()\[\]#]"
MASK_WORDS = frozenset(
    {"mask", "masks", "label", "labels", "lbl", "gt", "groundtruth", "seg", "segmentation"}
    | {"annot", "annotation", "annotations", "ann", "instance", "instances", "inst"}
    | {"object", "objects", "obj", "tag"}
)
"""Words of a name that say what a file is and not of which class."""
WORDS = "|".join(sorted(MASK_WORDS, key=len, reverse=True))
LEADING = re.compile(rf"^(?:\d+|{WORDS})(?={SIGNS}|$)", re.IGNORECASE)
TRAILING = re.compile(rf"(?:\d+|(?:(?<={SIGNS})|^)(?:{WORDS}))$", re.IGNORECASE)
RANDOM = re.compile(r"(?=.*\d)(?:[0-9a-f]{8,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.I)
"""A hash or an identifier: programs give such names to objects."""


@dataclass(frozen=True)
class NamedMask:
    """A mask of an image, by its name."""

    path: Path
    spelling: str
    """What its name or folder says besides the image, as it stands there."""
    label: str
    """The class in that; empty if it names none."""

    @property
    def is_alone(self) -> bool:
        """Whether the name neither names a class nor counts: a label map like any other."""
        return not self.label and not any(map(str.isdigit, self.spelling))


def class_words(text: str) -> str:
    """Take from the rest of a mask's name what is no class: ``_mask_nucleus_12`` to ``nucleus``."""
    while True:
        text = text.strip("_-. ()[]#")
        if RANDOM.fullmatch(text):
            return ""
        shorter = TRAILING.sub("", LEADING.sub("", text))
        if shorter == text:
            return text
        text = shorter


def masks_among(files: Mapping[Path, Path]) -> dict[Path, Path]:
    """Tell the masks from the images of one folder that holds both.

    They lie in folders called masks or the like, or their names go on where that of an image beside
    them ends.

    Args:
        files: `segloom.data.pairing.find_images` of the folder.
    """
    found = {key: path for key, path in files.items() if _is_mask_folder(key.parent)}
    if found:
        return found
    known = {plain_name(key.as_posix()) for key in files}
    return {
        key: path
        for key, path in files.items()
        if any(
            plain_name(key.with_name(start).as_posix()) in known
            for start, rest in _cuts(key.name)
            if rest
        )
    }


def assign_masks(
    images: Mapping[Path, Path], masks: Mapping[Path, Path]
) -> tuple[dict[Path, list[NamedMask]], list[Path]]:
    """Give every image its masks.

    A mask lies in a folder of the image's name, if all do, or its own name begins with it.

    Args:
        images: `segloom.data.pairing.find_images` of the folder of images.
        masks: The same of masks.

    Returns:
        Key of every image to its masks, and the masks that belong to none.
    """
    names: dict[str, list[Path]] = {}
    for key in images:
        names.setdefault(plain_name(key.name), []).append(key)
    is_by_folder = all(any(plain_name(part) in names for part in key.parent.parts) for key in masks)
    found: dict[Path, list[NamedMask]] = {key: [] for key in images}
    lonely = []
    for key, path in masks.items():
        image, rest = _image_of(key, names, is_by_folder=is_by_folder)
        if image is None:
            lonely.append(path)
            continue
        folder = _class_folder(key, image)
        spelling = folder or rest
        found[image].append(NamedMask(path, spelling, folder or class_words(rest)))
    return found, lonely


def _image_of(
    key: Path, names: Mapping[str, list[Path]], *, is_by_folder: bool
) -> tuple[Path | None, str]:
    """Find the image of a mask, and what the mask's name says besides it."""
    ways = [(part, key.name) for part in reversed(key.parent.parts)]
    cuts = list(_cuts(key.name))
    for name, rest in [*ways, *cuts] if is_by_folder else [*cuts, *ways]:
        alike = names.get(plain_name(name), [])
        if len(alike) > 1:
            around = set(key.parent.parts)
            alike = [one for one in alike if set(one.parent.parts) - {"images"} <= around]
        if len(alike) == 1:
            is_whole = plain_name(rest) == plain_name(name)
            return alike[0], "" if is_whole else _without(rest, name)
    return None, ""


def _without(rest: str, name: str) -> str:
    """Cut the name of the image from the name of a file in the folder of the image."""
    found = plain_name(rest).startswith(plain_name(name)) and re.match(SIGNS, rest[len(name) :])
    return rest[len(name) :] if found else rest


def _cuts(stem: str) -> Iterator[tuple[str, str]]:
    """Cut a stem in two at every sign, the longest start first."""
    yield stem, ""
    for sign in reversed(list(re.finditer(SIGNS, stem))):
        if sign.start():
            yield stem[: sign.start()], stem[sign.start() :]


def _class_folder(key: Path, image: Path) -> str:
    """Give the folder that names a class: no part of the image's own place; empty if none does."""
    own = {plain_name(part) for part in (*image.parts, "images")}
    others = [
        part
        for part in key.parent.parts
        if plain_name(part) not in own and not _is_mask_folder(Path(part))
    ]
    return others[-1] if others else ""


def _is_mask_folder(folder: Path) -> bool:
    return any(part.casefold() in MASK_WORDS for part in folder.parts)
