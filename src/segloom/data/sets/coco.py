"""Data sets annotated as COCO's JSON: outlines of objects become label maps.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; https://cocodataset.org, "Data
format". Class 0 is background, the categories follow in the order of their ids in the annotations
of training; the other splits are read by the names of the categories, whatever ids they have there.
``data.classes`` puts the names into another order.

`segloom.data.sets.coco_files` says where the files may lie.

Where objects overlap, the one with fewer pixels is on top: a tie before a person, a person before a
bus. Crowds (``iscrowd``) are void where no other object is; in what CVAT exports, which gives every
object ``attributes``, the flag only says that the object was drawn with a brush.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from segloom.config.data import DataConfig
from segloom.data.places import fields_of_groups
from segloom.data.planes import FileDecoder, Planes
from segloom.data.sets.base import DataSet
from segloom.data.sets.coco_files import (
    annotation_file,
    coco_images,
    has_annotations,
    inner_path,
)
from segloom.data.sets.outlines import draw_outline
from segloom.data.sets.shapes import split_files
from segloom.data.source import DatasetSource, check_split, data_root, unique_ids
from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.files import parse_json
from segloom.images.read import MAX_PIXELS
from segloom.labels.decoder import LabelDecoder
from segloom.labels.palette import BACKGROUNDS, class_palette
from segloom.labels.stored import StoredLabels
from segloom.types import ALONE, IGNORE_INDEX, LabelSet, Place, Record

__all__ = ["DATA_SET", "CocoDecoder", "is_here", "read"]

BACKGROUND = "background"


class _Entry(TypedDict):
    """An image as COCO describes it; there may be further fields."""

    id: int
    file_name: str
    height: int
    width: int


class _Object(TypedDict, total=False):
    id: int
    image_id: int
    category_id: int
    iscrowd: int
    segmentation: object
    """Outlines or run lengths; see `draw_outline`."""
    attributes: object
    """CVAT's."""


class _Category(TypedDict, total=False):
    id: int
    name: str
    supercategory: str


class _Content(TypedDict):
    images: list[_Entry]
    annotations: list[_Object]
    categories: list[_Category]


class _Image(NamedTuple):
    file: str
    height: int
    width: int
    objects: list[_Object]
    fields: Mapping[str, object]
    """All that the file says of the image."""


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
    path, is_whole = annotation_file(root, split)
    annotations = _load(path, path.stat().st_mtime_ns)
    classes = _classes(config, root, path, annotations)
    names = [image.file for image in annotations.images]
    files = coco_images(root, path, names)
    if repeated := [file for file, count in Counter(files).items() if count > 1]:
        raise DataError(
            f"{path} lists the image {repeated[0]} several times, so the objects of one are those "
            "of another; merge these entries, or keep images of one name in folders."
        )
    keys = [Path(name).with_suffix("") for name in names]
    places = _places(config, path, annotations)
    chosen = set(files)
    if is_whole:
        groups = {file: place.group for file, place in zip(files, places, strict=True)}
        chosen = set(split_files(root, files, config, split, groups=groups))
    records = tuple(
        Record(name, file, path, part=index, group=place.group, order=place.order)
        for index, (name, file, place) in enumerate(
            zip(unique_ids(keys), files, places, strict=True)
        )
        if file in chosen
    )
    labels = LabelSet(classes, class_palette(classes))
    return DatasetSource(records, labels, "index", decode=CocoDecoder(classes))


def is_here(root: Path) -> bool:
    """Return whether a folder holds annotations as COCO's JSON."""
    return has_annotations(root)


@dataclass(frozen=True)
class CocoDecoder(FileDecoder):
    """Draws the objects of an image; ``Record.mask`` is the JSON, ``part`` the place in it."""

    classes: tuple[str, ...]
    """Names of the categories and the background, in the order of their class ids."""
    is_sequential: bool = False

    @property
    def fingerprint(self) -> str:
        """Text that differs where the same files decode differently."""
        return f"coco 3 {json.dumps(self.classes)}{self.pixel_fingerprint}"

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Read an image and draw its label map.

        Raises:
            DataError: The image or an object's outline cannot be used.
        """
        path = record.label_file
        annotations = _load(path, path.stat().st_mtime_ns)
        entry = annotations.images[record.part or 0]
        image = self.read_image(record.image)
        if image.shape[:2] != (entry.height, entry.width):
            raise DataError(
                f"{record.image} is {image.shape[1]} x {image.shape[0]} pixels, but {path} says "
                f"{entry.width} x {entry.height}; use the images that were annotated."
            )
        background = self.classes.index(BACKGROUND)
        labels = np.full((entry.height, entry.width), background, np.uint8)
        areas = np.full(labels.shape, entry.height * entry.width + 1, np.int32)
        for item in sorted(entry.objects, key=lambda item: not _is_crowd(item)):
            where = f"{path}: object {item.get('id')} of {entry.file}"
            outline = draw_outline(item.get("segmentation"), entry.height, entry.width, where)
            if _is_crowd(item):
                labels[outline] = IGNORE_INDEX
                continue
            area = int(outline.sum())
            is_on_top = outline & (area <= areas)
            labels[is_on_top] = self.classes.index(annotations.categories[item["category_id"]])
            areas[is_on_top] = area
        return Planes(image, decoder.convert(StoredLabels(labels, "grey", is_lossy=False), path))


def _is_crowd(item: _Object) -> bool:
    return bool(item.get("iscrowd")) and "attributes" not in item


def _classes(
    config: DataConfig, root: Path, path: Path, annotations: _Annotations
) -> tuple[str, ...]:
    """Return the classes of the data set, those of training, and refuse a split that has others."""
    origin = annotation_file(root, "train").path if has_annotations(root) else path
    categories = annotations.categories
    if origin != path:
        categories = _categories(origin, origin.stat().st_mtime_ns)
    own = tuple(dict.fromkeys((BACKGROUND, *categories.values())))
    for name in _used(annotations):
        if name not in own:
            raise DataError(
                f"{path} has objects of the category '{name}', which {origin} does not know; add "
                "it to the categories there, or leave these objects out."
            )
    if config.label_map or not config.classes:  # a label map gives these classes other names
        return own
    if others := [name for name in config.classes if name not in own]:
        raise UnknownNameError(f"class of {origin} in data.classes", others[0], own)
    if sorted(config.classes) != sorted(own):
        raise ConfigError(
            f"data.classes ({', '.join(config.classes)}) is not a reordering of the classes of "
            f"{origin} ({', '.join(own)}); name each of them once, or merge them with "
            "data.label_map."
        )
    return config.classes


def _used(annotations: _Annotations) -> list[str]:
    """Name the categories that have objects, in the order of their ids."""
    used = {item["category_id"] for image in annotations.images for item in image.objects}
    return [annotations.categories[category] for category in sorted(used)]


def _parse(path: Path) -> _Content:
    try:
        content: _Content = parse_json(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is no JSON or is cut short ({error}); copy it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    return content


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
        categories = _named(content, path)
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
        return _named(content, path)


def _named(content: _Content, path: Path) -> dict[int, str]:
    """Return the names of the categories in the order of their ids.

    Roboflow writes the project itself as category 0, above all others and without an object.
    """
    entries = content["categories"]
    above = {entry.get("supercategory") for entry in entries}
    used = {item["category_id"] for item in content["annotations"]}
    named = {int(entry["id"]): _category(str(entry["name"])) for entry in entries}
    if 0 in named and 0 not in used and named[0] in above:
        del named[0]
    _check_names([name for name in named.values() if name != BACKGROUND], path)
    return dict(sorted(named.items()))


def _check_names(things: list[str], path: Path) -> None:
    if len(set(things)) < len(things):
        raise DataError(f"{path} names two categories alike; rename one.")
    if len(things) >= IGNORE_INDEX:
        raise DataError(
            f"{path} has {len(things)} categories, but label maps hold at most "
            f"{IGNORE_INDEX - 1} besides the background; leave some out."
        )


def _category(name: str) -> str:
    """Return the background, which programs spell in several ways, its one name."""
    return BACKGROUND if name.lower() in BACKGROUNDS else name


def _places(config: DataConfig, path: Path, annotations: _Annotations) -> list[Place]:
    """Read the group of every image from the fields that ``data.group_by`` names."""
    fields = fields_of_groups(config)
    if not fields:
        return [ALONE] * len(annotations.images)
    found = []
    for image in annotations.images:
        values = [image.fields.get(field) for field in fields[:2]]
        if None in values:
            raise DataError(
                f"{path}: image {image.file} has no {' and '.join(fields)}; fix data.group_by."
            )
        order = values[1] if len(values) > 1 else None
        if order is not None and not isinstance(order, int):
            raise DataError(f"{path}: {fields[1]} of {image.file} is no whole number: {order}.")
        found.append(Place(str(values[0]), order))
    return found


def _image(entry: _Entry, path: Path) -> _Image:
    name, height, width = inner_path(entry["file_name"], path), entry["height"], entry["width"]
    sides = (height, width)
    if not all(type(side) is int and side > 0 for side in sides) or height * width > MAX_PIXELS:
        raise DataError(f"{path} gives {name} the size {width} x {height}, which no image has.")
    return _Image(name, height, width, [], entry)


def _fix_classes(wanted: Sequence[str], found: Sequence[str]) -> str:
    """Describe how to make the classes of annotations fit a network's; see `DataSet`."""
    if sorted(wanted) == sorted(found):
        return f"put them in order with --data.classes {shlex.join(wanted)}."
    return (
        "name data with these classes, or map its class ids to them with data.label_map beside "
        "data.classes."
    )


DATA_SET = DataSet(
    read,
    is_here,
    options=frozenset({"split_shares"}),
    default_recipe="coco",
    names_classes=False,
    reads_group_fields=True,
    fix_classes=_fix_classes,
)
