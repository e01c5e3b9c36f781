"""Data sets annotated as COCO's JSON: outlines of objects become label maps.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; https://cocodataset.org, "Data
format". Class 0 is background, the categories follow in the order of their ids in the annotations
of training; the other splits are read by the names of the categories, whatever ids they have there.
``data.classes`` puts the names into another order.

COCO       annotations/instances_{train,val}2017.json  {train,val}2017/* or images/{train,val}2017/*
by folder  {train,val,test}/{any}.json with the images beside it

Where objects overlap, the one with fewer pixels is on top: a tie before a person, a person before a
bus. Crowds (``iscrowd``) are void where no other object is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
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
from segloom.errors import ConfigError, DataError, NoSplitError, UnknownNameError
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
    categories: dict[int, str]
    """Names in the order of the ids."""
    images: list[_Image]


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split annotated as COCO's JSON; see `DatasetSource`.

    Raises:
        NoSplitError: Other splits have an annotation file, this one has none.
        DataError: There is no annotation file or there are several, it is damaged, its images are
            not found, a category is used that training does not know, or the split is unknown.
        ConfigError: ``data.classes`` is no reordering of the names of the classes.
    """
    check_split(split)
    root = data_root(config)
    path = _annotation_file(root, split)
    annotations = _load(path, path.stat().st_mtime_ns)
    classes = _classes(config, root, path, annotations)
    names = [image.file for image in annotations.images]
    folder = _image_folder(root, path, names)
    keys = [Path(name).with_suffix("") for name in names]
    records = tuple(
        Record(record_id, folder / name, path, part=place)
        for place, (record_id, name) in enumerate(zip(unique_ids(keys), names, strict=True))
    )
    labels = LabelSet(classes, default_palette(len(classes)))
    return DatasetSource(records, labels, "index", decode=CocoDecoder(classes))


def is_here(root: Path) -> bool:
    """Tell whether a folder holds annotations as COCO's JSON for training."""
    return bool(_candidates(root, "train"))


@dataclass(frozen=True)
class CocoDecoder:
    """Draws the objects of an image; ``Record.mask`` is the JSON, ``part`` the place in it."""

    classes: tuple[str, ...]
    """Names of the categories and the background, in the order of their class ids."""
    is_sequential: bool = False

    @property
    def fingerprint(self) -> str:
        """Text that differs where the same files decode differently."""
        return f"coco 2 {json.dumps(self.classes)}"

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
        background = self.classes.index(BACKGROUND)
        labels = np.full((entry.height, entry.width), background, np.uint8)
        areas = np.full(labels.shape, entry.height * entry.width + 1, np.int32)
        for item in sorted(entry.objects, key=lambda item: not item.get("iscrowd")):
            where = f"{path}: object {item.get('id')} of {entry.file}"
            outline = draw_outline(item.get("segmentation"), entry.height, entry.width, where)
            if item.get("iscrowd"):
                labels[outline] = IGNORE_INDEX
                continue
            area = int(outline.sum())
            is_on_top = outline & (area <= areas)
            labels[is_on_top] = self.classes.index(annotations.categories[item["category_id"]])
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


def _classes(
    config: DataConfig, root: Path, path: Path, annotations: _Annotations
) -> tuple[str, ...]:
    """Give the classes of the data set, those of training, and refuse a split that has others."""
    origin, categories = path, annotations.categories
    if _candidates(root, "train"):
        origin = _annotation_file(root, "train")
        if origin != path:
            categories = _categories(origin, origin.stat().st_mtime_ns)
    own = (BACKGROUND, *(name for name in categories.values() if name != BACKGROUND))
    used = {item["category_id"] for image in annotations.images for item in image.objects}
    for category in sorted(used):
        if (name := annotations.categories[category]) not in own:
            raise DataError(
                f"{path} has objects of the category '{name}', which {origin} does not know; add "
                "it to the categories there, or leave these objects out."
            )
    if config.label_map or not config.classes:  # a label map gives these classes other names
        return own
    for name in config.classes:
        if name not in own:
            raise UnknownNameError(f"class of {origin} in data.classes", name, own)
    if sorted(config.classes) != sorted(own):
        raise ConfigError(
            f"data.classes ({', '.join(config.classes)}) is not a reordering of the classes of "
            f"{origin} ({', '.join(own)}); name each of them once, or merge them with "
            "data.label_map."
        )
    return config.classes


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON or is cut short ({error}); copy it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


@contextmanager
def _of_cocos_form(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is not of COCO's form ({type(error).__name__}: {error}); it needs images, "
            "annotations and categories that refer to each other."
        ) from error


@lru_cache(maxsize=3)  # one per split; the time of change makes an edited file a new one
def _load(path: Path, _changed: int) -> _Annotations:
    """Read and check an annotation file, but for the outlines."""
    content = _parse(path)
    with _of_cocos_form(path):
        categories = _named(content["categories"], path)
        images = {entry["id"]: _image(entry, path) for entry in content["images"]}
        for item in content["annotations"]:
            images[item["image_id"]].objects.append(item)
            categories[item["category_id"]]  # or it is no category
    if not images or len(images) < len(content["images"]):
        what = "an image id twice" if images else "no image"
        raise DataError(f"{path} lists {what}; export it again.")
    return _Annotations(categories, list(images.values()))


@lru_cache(maxsize=3)
def _categories(path: Path, _changed: int) -> dict[int, str]:
    """Read the categories alone: those who measure need not hold the objects of training."""
    content = _parse(path)
    with _of_cocos_form(path):
        return _named(content["categories"], path)


def _named(entries: list[dict[str, Any]], path: Path) -> dict[int, str]:
    """Give the names of the categories in the order of their ids."""
    named = {int(entry["id"]): str(entry["name"]) for entry in entries}
    things = [name for name in named.values() if name != BACKGROUND]
    if len(set(things)) < len(things):
        raise DataError(f"{path} names two categories alike; rename one.")
    if len(things) >= IGNORE_INDEX:
        raise DataError(
            f"{path} has {len(things)} categories, but label maps hold at most "
            f"{IGNORE_INDEX - 1} besides the background; leave some out."
        )
    return dict(sorted(named.items()))


def _image(entry: dict[str, Any], path: Path) -> _Image:
    name, height, width = entry["file_name"], entry["height"], entry["width"]
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or not inside.name:
        raise DataError(f"{path} lists the image {name}, which leads out of the data set.")
    sides = (height, width)
    if not all(type(side) is int and side > 0 for side in sides) or height * width > MAX_PIXELS:
        raise DataError(f"{path} gives {name} the size {width} x {height}, which no image has.")
    return _Image(name, height, width, [])
