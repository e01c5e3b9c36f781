"""Where programs put COCO's JSON and its images, and which images are a split's.

A file per split: ``annotations/instances_train2017.json`` (COCO), ``annotations/train.json`` or
``train.json``, ``train/_annotations.coco.json`` (Roboflow). One file for all images:
``annotations/instances_default.json`` (CVAT), ``result.json`` (Label Studio), ``labels.json``
(FiftyOne), or any other file of COCO's form; folders train, val and test in the names of the images
divide them, otherwise ``data.split_shares`` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from segloom.data.locate import plain_name, resolve_place, without_anchor
from segloom.data.pairing import SPLIT_NAMES
from segloom.data.source import SPLITS
from segloom.errors import DataError, NoSplitError
from segloom.files import parse_json
from segloom.images.read import is_hidden

__all__ = ["AnnotationFile", "annotation_file", "coco_images", "has_annotations", "inner_path"]

MAX_PARSED = 2**24
"""Bytes up to which a file is parsed to recognise its form; a larger one shows it at its start."""
ADDRESS = re.compile(r"[a-z][a-z0-9+]+://", re.IGNORECASE)
KEYS = ("images", "annotations", "categories")
FOLDERS = ("annotations", ".")


class AnnotationFile(NamedTuple):
    """A file of annotations."""

    path: Path
    is_whole: bool
    """It holds the images of all splits."""


def annotation_file(root: Path, split: str) -> AnnotationFile:
    """Find the file that annotates a split.

    Raises:
        NoSplitError: Other splits have a file, this one has none.
        DataError: There is none, or there are several.
    """
    found, is_whole = _split_files(root, split), False
    if not found and _is_divided(root):
        raise NoSplitError(
            f"{root} has no annotation file for the split {split}; those of COCO's test images "
            "are not public, so measure on the validation images with --split val."
        )
    if not found:
        found, is_whole = _whole_files(root), True
    if len(found) > 1:
        what = "all images" if is_whole else split
        raise DataError(
            f"there are several annotation files for {what}: {', '.join(map(str, found))}; keep "
            "one there."
        )
    if not found:
        raise DataError(
            f"{root} holds no annotations/instances_{split}*.json, no {split} folder with an "
            "annotation file, and no single file of COCO's form."
        )
    return AnnotationFile(found[0], is_whole)


def has_annotations(root: Path) -> bool:
    """Return whether a folder holds a file of COCO's form for training or for all images."""
    return bool(_split_files(root, "train") or (not _is_divided(root) and _whole_files(root)))


def coco_images(root: Path, path: Path, names: Sequence[str]) -> list[Path]:
    """Find the folder of the images by the first; reading tells if a later one is missing.

    Args:
        root: Folder of the data set.
        path: File of the annotations.
        names: Paths of the images as the file gives them, with ``/``.

    Returns:
        Path of each image.

    Raises:
        DataError: The first image is nowhere.
    """
    own = path.stem.removeprefix("instances_")
    if path.parent.name == "annotations":
        folders = [root / own, root / "images" / own, root / "images", root]
    else:
        folders = [path.parent, path.parent / "images", root / "images" / own, root / own]
    folders += [root / "images" / "default", root / "data"]
    # As it is written, or without folders at its start that are those of another machine.
    for start in range(len(PurePosixPath(names[0]).parts)):
        for folder in folders:
            if (folder / _from(start, names[0])).is_file():
                return [folder / _from(start, name) for name in names]
    for folder in folders:  # names in other capitals or with other accents
        if resolve_place(folder, names[0]) is not None:
            return _alike(folder, names)
    searched = ", ".join(map(str, dict.fromkeys(folders)))
    raise DataError(
        f"{path} lists {names[0]}, which is in none of {searched}; unpack the images there."
    )


def _alike(folder: Path, names: Sequence[str]) -> list[Path]:
    """Find files by names that other systems wrote; one that is not there keeps its name."""
    known = {
        plain_name(path.relative_to(folder).as_posix()): path
        for path in sorted(folder.rglob("*"), reverse=True)
    }
    return [
        path if (path := folder / name).is_file() else known.get(plain_name(name), path)
        for name in names
    ]


def inner_path(name: str, path: Path) -> str:
    """Return the name that a file gives an image, with ``/``; see `without_anchor`.

    Of an address (``https://host/data/a.jpg``) it is the path: images are never downloaded.

    Raises:
        DataError: It leads out of the data set.
    """
    address = ADDRESS.match(name)
    inside = without_anchor(urlsplit(name).path if address else name)
    if ".." in inside.parts or not inside.name or ":" in inside.parts[0]:
        raise DataError(
            f"{path} lists the image {name}, which leads out of the data set; put the images into "
            "its folder and list them as they lie there."
        )
    return str(inside)


def _from(start: int, name: str) -> PurePosixPath:
    """Leave out folders at the start of a path, at most all."""
    parts = PurePosixPath(name).parts
    return PurePosixPath(*parts[min(start, len(parts) - 1) :])


def _is_divided(root: Path) -> bool:
    return any(_split_files(root, split) for split in SPLITS)


def _split_files(root: Path, split: str) -> list[Path]:
    return next(filter(None, (_files_of(root, name) for name in SPLIT_NAMES[split])), [])


def _files_of(root: Path, name: str) -> list[Path]:
    """Find the files of a split by one of its names, in the first place that has any."""
    exact = re.compile(rf"instances_{name}.*|{name}(20\d\d)?", re.IGNORECASE)
    loose = re.compile(rf"{name}[_.-].*|.*[_-]{name}", re.IGNORECASE)
    return (
        _named(root / "annotations", exact)
        or list(filter(_is_coco, _json_files(_folder(root, name))))
        or list(filter(_is_coco, _named(root, exact)))
        or list(filter(_is_coco, _named(root, loose)))
    )


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    return [path for path in _json_files(folder) if pattern.fullmatch(path.stem)]


def _whole_files(root: Path) -> list[Path]:
    for folder in FOLDERS:
        if found := [path for path in _json_files(root / folder) if _is_coco(path)]:
            return found
    return []


def _folder(root: Path, name: str) -> Path:
    """Find a folder in any letter case."""
    if (root / name).is_dir() or not root.is_dir():
        return root / name
    alike = (path for path in sorted(root.iterdir()) if path.name.lower() == name)
    return next((path for path in alike if path.is_dir()), root / name)


def _json_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.json") if p.is_file() and not is_hidden(p.name))


def _is_coco(path: Path) -> bool:
    """Tell COCO's form from what other tools write as JSON."""
    try:
        if path.stat().st_size > MAX_PARSED:
            with path.open("rb") as file:
                beginning = file.read(4096)
            named = (b'"info"', b'"licenses"', *(f'"{key}"'.encode() for key in KEYS))
            return beginning.lstrip()[:1] == b"{" and any(name in beginning for name in named)
        content = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return path.suffixes[:-1] == [".coco"] or path.name.startswith("instances_")
    return isinstance(content, dict) and all(key in content for key in KEYS)
