"""Data sets annotated with the VGG Image Annotator (VIA 1 and 2): JSON files of regions.

https://www.robots.ox.ac.uk/~vgg/software/via. The file is an export of the annotations or a saved
project; there may be one for all images, or one beside the images of each split. Polygons,
rectangles, circles and ellipses are drawn in the order of the file, the last on top; points and
lines have no area and are refused. The label of a region is its only attribute, or the one called
label, class, name or type. The classes are background and the labels in the order of
``classes.txt`` or, without one, of the alphabet. Folders train, val and test divide the images;
without them a hash of their names does.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TypedDict

from segloom.config.data import DataConfig
from segloom.data.locate import locate, plain_name
from segloom.data.sets.base import DataSet
from segloom.data.sets.shapes import (
    Shape,
    ShapeDecoder,
    class_names,
    damaged,
    ellipse,
    load_json,
    name_list,
    rectangle,
    shape_source,
    split_files,
    turned,
    uncovered_class,
    visible,
)
from segloom.data.source import DatasetSource, data_root
from segloom.errors import DataError
from segloom.types import Record

__all__ = ["DATA_SET", "is_here", "read", "read_shapes"]

TOOL = "VIA"
MAX_BYTES = 2**26
"""Of a file; COCO's may be larger."""


class _Facts(TypedDict, total=False):
    """What is drawn; lengths in pixels."""

    name: str
    all_points_x: list[float]
    all_points_y: list[float]
    x: float
    y: float
    width: float
    height: float
    cx: float
    cy: float
    r: float
    rx: float
    ry: float
    theta: float


class _Region(TypedDict):
    shape_attributes: _Facts
    region_attributes: dict[str, object]


class _Entry(TypedDict):
    """An image."""

    filename: str
    regions: list[_Region] | dict[str, _Region]


NAMES = ("label", "class", "name", "type")
"""Attributes that hold the label of a region that has several."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split annotated with VIA; see `DatasetSource`.

    Raises:
        NoSplitError: Folders divide the images, but none is this split's.
        DataError: There is no such file, it is damaged, or an image is not found.
    """
    root = data_root(config)
    pairs: dict[Path, Path] = {}
    found: set[str] = set()
    for path in _files(root):
        try:
            for entry in _entries(path):
                image = _image_of(entry, root, path)
                if image in pairs:
                    raise ValueError(f"{pairs[image]} is of the image {image} too")
                pairs[image] = path
                found |= {_label(region) for region in _regions(entry)}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(path, TOOL, error) from error
    if not pairs:
        raise DataError(f"{root} holds no JSON file of {TOOL}; set data.root.")
    classes = class_names(config, name_list(root) or sorted(found))
    chosen = set(split_files(root, list(pairs), config, split))
    mine = {image: path for image, path in pairs.items() if image in chosen}
    decoder = ShapeDecoder(classes, read_shapes, uncovered_class(classes, found))
    return shape_source(root, mine, classes, decoder)


def is_here(root: Path) -> bool:
    """Return whether a folder holds annotations of VIA."""
    return bool(_files(root))


def read_shapes(record: Record, height: int, width: int, classes: tuple[str, ...]) -> list[Shape]:
    """Read the shapes of an image, the lowest first.

    Raises:
        DataError: A region is damaged or has no area.
    """
    path = record.label_file
    try:
        name = record.image.name
        named = {_name(entry): entry for entry in reversed(_entries(path))}
        alike = (entry for key, entry in named.items() if plain_name(key) == plain_name(name))
        entry = named[name] if name in named else next(alike)
        return [_shape(region, path) for region in _regions(entry)]
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise damaged(path, TOOL, error) from error


def _shape(region: _Region, path: Path) -> Shape:
    label, facts = _label(region), region["shape_attributes"]
    kind = facts["name"]
    if kind == "polygon":
        points = zip(facts["all_points_x"], facts["all_points_y"], strict=True)
        return Shape(label, [[float(value) for point in points for value in point]])
    if kind == "rect":
        left, top = float(facts["x"]), float(facts["y"])
        outline = rectangle(left, top, left + facts["width"], top + facts["height"])
        return Shape(label, [outline])
    if kind in ("circle", "ellipse"):
        x, y = float(facts["cx"]), float(facts["cy"])
        axes = (facts["r"], facts["r"]) if kind == "circle" else (facts["rx"], facts["ry"])
        angle = float(facts.get("theta") or 0) * 57.29577951308232  # radians in VIA
        return Shape(label, [turned(ellipse(x, y, *axes), angle, x, y)])
    raise DataError(
        f"{path} has a region '{label}' of the kind {kind}, which has no area; delete it or draw a "
        "polygon."
    )


def _label(region: _Region) -> str:
    """Return the label of a region; a group of check boxes is a mapping of the ticked ones."""
    attributes = region["region_attributes"]
    name = next(iter(attributes)) if len(attributes) == 1 else None
    name = name or next((key for key in NAMES if key in attributes), None)
    if name is None:
        raise ValueError(f"a region has no attribute called {', '.join(NAMES)}")
    ticked = _ticked(attributes[name])
    if len(ticked) != 1 or not str(ticked[0]).strip():
        raise ValueError(f"a region has {len(ticked)} values of {name}, or an empty one")
    return str(ticked[0]).strip()


def _ticked(value: object) -> list[object]:
    if isinstance(value, dict):
        return [key for key, is_set in value.items() if is_set]
    return [value]


def _regions(entry: _Entry) -> list[_Region]:
    regions = entry["regions"]  # VIA 1 numbers them in a mapping
    return list(regions.values()) if isinstance(regions, dict) else list(regions)


def _entries(path: Path) -> list[_Entry]:
    content = load_json(path, TOOL)
    return list((content.get("_via_img_metadata") or content).values())


def _files(root: Path) -> list[Path]:
    """List the files of VIA in the folder and in those directly below it."""
    files = visible([*root.glob("*.json"), *root.glob("*/*.json")], root)
    return [path for path in files if _is_via(path)]


def _is_via(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        return False
    try:
        content = load_json(path, TOOL)
    except DataError:
        return False
    if not isinstance(content, dict) or not content:
        return False
    first = next(iter((content.get("_via_img_metadata") or content).values()), None)
    return isinstance(first, dict) and {"filename", "regions"} <= first.keys()


def _name(entry: _Entry) -> str:
    return PurePosixPath(str(entry["filename"]).replace("\\", "/")).name


def _image_of(entry: _Entry, root: Path, path: Path) -> Path:
    name = _name(entry)
    folders = [path.parent, path.parent / "images", root / "images"]
    if name and (found := locate(name, folders)) is not None:
        return found
    raise DataError(
        f"{path} is of the image {entry['filename']}, which lies neither beside it nor in a folder "
        "images; put it there."
    )


DATA_SET = DataSet(read, is_here, options=frozenset({"split_shares"}), names_classes=False)
