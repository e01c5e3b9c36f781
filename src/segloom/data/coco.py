"""Data sets annotated as COCO's JSON: outlines of objects become label maps.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; https://cocodataset.org, "Data
format". Class 0 is background, the categories follow in the order of their ids.

COCO       annotations/instances_{train,val}2017.json  {train,val}2017/* or images/{train,val}2017/*
by folder  {train,val,test}/{any}.json with the images beside it

Where objects overlap, the one with fewer pixels is on top: a tie before a person, a person before a
bus. Crowds (``iscrowd``) are void where no other object is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from segloom.config.data import DataConfig
from segloom.data.folder import SPLIT_NAMES
from segloom.data.label_files import StoredLabels
from segloom.data.labels import LabelDecoder
from segloom.data.outlines import draw_outline
from segloom.data.planes import Planes
from segloom.data.source import SPLITS, DatasetSource, check_split, data_root, unique_ids
from segloom.errors import DataError, NoSplitError
from segloom.images import MAX_PIXELS, read_image
from segloom.palette import default_palette
from segloom.types import IGNORE_INDEX, LabelSet, Record

__all__ = ["CocoDecoder", "is_here", "read"]

BACKGROUND = "background"


class _Image(NamedTuple):
    file: str
    height: int
    width: int
    objects: list[dict[str, Any]]


class _Annotations(NamedTuple):
    classes: tuple[str, ...]
    ids: dict[int, int]
    """Category to class."""
    images: list[_Image]


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split annotated as COCO's JSON; see `DatasetSource`.

    Raises:
        NoSplitError: Other splits have an annotation file, this one has none.
        DataError: There is no annotation file or there are several, it is damaged, its images are
            not found, or the split is unknown.
    """
    check_split(split)
    root = data_root(config)
    path = _annotation_file(root, split)
    annotations = _load(path, path.stat().st_mtime_ns)
    names = [image.file for image in annotations.images]
    folder = _image_folder(root, path, names)
    keys = [Path(name).with_suffix("") for name in names]
    records = tuple(
        Record(record_id, folder / name, path, part=place)
        for place, (record_id, name) in enumerate(zip(unique_ids(keys), names, strict=True))
    )
    labels = LabelSet(annotations.classes, default_palette(len(annotations.classes)))
    return DatasetSource(records, labels, "index", decode=CocoDecoder())


def is_here(root: Path) -> bool:
    """Tell whether a folder holds annotations as COCO's JSON for training."""
    return bool(_candidates(root, "train"))


@dataclass(frozen=True)
class CocoDecoder:
    """Draws the objects of an image; ``Record.mask`` is the JSON, ``part`` the place in it."""

    fingerprint: str = "coco 1"
    is_sequential: bool = False

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Read an image and draw its label map.

        Raises:
            DataError: The image or an object's outline cannot be used.
        """
        path = record.mask
        assert path is not None  # noqa: S101 - `read` sets it
        annotations = _load(path, path.stat().st_mtime_ns)
        entry = annotations.images[record.part or 0]
        image = read_image(record.image)
        if image.shape[:2] != (entry.height, entry.width):
            raise DataError(
                f"{record.image} is {image.shape[1]} x {image.shape[0]} pixels, but {path} says "
                f"{entry.width} x {entry.height}; use the images that were annotated."
            )
        labels = np.zeros((entry.height, entry.width), np.uint8)
        areas = np.full(labels.shape, entry.height * entry.width + 1, np.int32)
        for item in sorted(entry.objects, key=lambda item: not item.get("iscrowd")):
            where = f"{path}: object {item.get('id')} of {entry.file}"
            outline = draw_outline(item.get("segmentation"), entry.height, entry.width, where)
            if item.get("iscrowd"):
                labels[outline] = IGNORE_INDEX
                continue
            area = int(outline.sum())
            is_on_top = outline & (area <= areas)
            labels[is_on_top] = annotations.ids[item["category_id"]]
            areas[is_on_top] = area
        return Planes(image, decoder.convert(StoredLabels(labels, "grey", is_lossy=False), path))


def _candidates(root: Path, split: str) -> list[Path]:
    for name in SPLIT_NAMES[split]:
        found = sorted((root / "annotations").glob(f"instances_{name}*.json"))
        found = found or sorted((root / name).glob("*.json"))
        if found:
            return found
    return []


def _annotation_file(root: Path, split: str) -> Path:
    found = _candidates(root, split)
    if len(found) > 1:
        raise DataError(
            f"there are several annotation files for {split}: {', '.join(map(str, found))}; keep "
            "one there."
        )
    if not found and any(_candidates(root, other) for other in SPLITS):
        raise NoSplitError(
            f"{root} has no annotation file for the split {split}; those of COCO's test images "
            "are not public, so measure on the validation images with --split val."
        )
    if not found:
        raise DataError(
            f"{root} holds no annotations/instances_{split}*.json and no {split} folder with an "
            "annotation file."
        )
    return found[0]


def _image_folder(root: Path, path: Path, names: list[str]) -> Path:
    """Find the folder in which the first image lies; reading tells if a later one is missing."""
    own = path.stem.removeprefix("instances_")
    beside = [path.parent, path.parent / "images"]
    folders = [root / own, root / "images" / own, root / "images", root]
    folders = folders if path.parent.name == "annotations" else beside
    for folder in folders:
        if (folder / names[0]).is_file():
            return folder
    raise DataError(
        f"{path} lists {names[0]}, which is in none of {', '.join(map(str, folders))}; unpack the "
        "images there."
    )


@lru_cache(maxsize=3)  # one per split; the time of change makes an edited file a new one
def _load(path: Path, _changed: int) -> _Annotations:
    """Read and check an annotation file, but for the outlines."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON or is cut short ({error}); copy it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    try:
        classes, ids = _categories(content["categories"], path)
        images = {entry["id"]: _image(entry, path) for entry in content["images"]}
        for item in content["annotations"]:
            images[item["image_id"]].objects.append(item)
            ids[item["category_id"]]  # or it is no category
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is not of COCO's form ({type(error).__name__}: {error}); it needs images, "
            "annotations and categories that refer to each other."
        ) from error
    if not images or len(images) < len(content["images"]):
        what = "an image id twice" if images else "no image"
        raise DataError(f"{path} lists {what}; export it again.")
    return _Annotations(classes, ids, list(images.values()))


def _categories(
    entries: list[dict[str, Any]], path: Path
) -> tuple[tuple[str, ...], dict[int, int]]:
    named = {int(entry["id"]): str(entry["name"]) for entry in entries}
    classes = [BACKGROUND, *(named[key] for key in sorted(named) if named[key] != BACKGROUND)]
    if len(set(classes)) < len(classes):
        raise DataError(f"{path} names two categories alike; rename one.")
    if len(classes) > IGNORE_INDEX:
        raise DataError(
            f"{path} has {len(classes) - 1} categories, but label maps hold at most "
            f"{IGNORE_INDEX - 1} besides the background; leave some out."
        )
    return tuple(classes), {key: classes.index(name) for key, name in named.items()}


def _image(entry: dict[str, Any], path: Path) -> _Image:
    name, height, width = entry["file_name"], entry["height"], entry["width"]
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or not inside.name:
        raise DataError(f"{path} lists the image {name}, which leads out of the data set.")
    sides = (height, width)
    if not all(type(side) is int and side > 0 for side in sides) or height * width > MAX_PIXELS:
        raise DataError(f"{path} gives {name} the size {width} x {height}, which no image has.")
    return _Image(name, height, width, [])
