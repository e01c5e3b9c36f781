"""Data sets labelled with LabelMe: a JSON file per image.

https://github.com/wkentaro/labelme. Polygons, rectangles, circles and masks are drawn in the order
of the file, the last on top; lines and points have no area and are refused. ``_background_`` is
background, ``__ignore__`` is void. The classes are background and the labels in the order of
``labels.txt`` beside the files or, without one, of the alphabet. Folders train, val and test divide
the files; without them a hash of their names does.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.locate import locate, without_anchor
from segloom.data.sets.base import DataSet
from segloom.data.sets.shapes import (
    Shape,
    ShapeDecoder,
    check_drawn_size,
    class_names,
    damaged,
    ellipse,
    find_image,
    load_json,
    name_list,
    pair_once,
    shape_source,
    split_files,
    uncovered_class,
    visible,
)
from segloom.data.source import DatasetSource, data_root
from segloom.errors import DataError
from segloom.labels.palette import background_of
from segloom.types import Record

__all__ = ["DATA_SET", "is_here", "read", "read_shapes"]

MAX_FILES_LOOKED_AT = 5
TOOL = "LabelMe"


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of LabelMe's files; see `DatasetSource`.

    Raises:
        NoSplitError: Folders divide the files, but none is this split's.
        DataError: There are no such files, one is damaged, or its image is not found.
    """
    root = data_root(config)
    files = [path for path in visible(root.rglob("*.json"), root) if _is_labelme(path)]
    if not files:
        raise DataError(f"{root} holds no JSON file of LabelMe; set data.root.")
    if background_of(config.classes) is not None:
        found: list[str] = []  # so that not every file is read
    else:
        found = name_list(root) or sorted({label for path in files for label in _labels(path)})
    classes = class_names(config, found)
    chosen = split_files(root, files, config, split)
    pairs = pair_once((_image_of(path), path) for path in chosen)
    decoder = ShapeDecoder(classes, read_shapes, uncovered_class(classes, found))
    return shape_source(root, pairs, classes, decoder)


def is_here(root: Path) -> bool:
    """Return whether a folder holds files of LabelMe."""
    files = visible(root.rglob("*.json"), root)[:MAX_FILES_LOOKED_AT]
    return any(_is_labelme(path) for path in files)


def read_shapes(record: Record, height: int, width: int, classes: tuple[str, ...]) -> list[Shape]:
    """Read the shapes of an image, the lowest first.

    Raises:
        DataError: The file is damaged, is of an image of another size, or holds a shape without an
            area.
    """
    path = record.label_file
    content = _load(path)
    size = (content.get("imageHeight") or height, content.get("imageWidth") or width)
    check_drawn_size(record, size, height, width)
    try:
        return [_shape(entry, path, height, width) for entry in content["shapes"]]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(path, TOOL, error) from error


class _Entry(TypedDict, total=False):
    label: str
    shape_type: str | None
    points: list[tuple[float, float]]
    mask: str


class _File(TypedDict, total=False):
    imagePath: str | None
    imageHeight: int | None
    imageWidth: int | None
    shapes: list[_Entry]


def _shape(entry: _Entry, path: Path, height: int, width: int) -> Shape:
    label, kind = str(entry["label"]), entry.get("shape_type") or "polygon"
    points = [(float(x), float(y)) for x, y in entry["points"]]
    if kind == "rectangle":
        (left, top), (right, bottom) = points[0], points[-1] if len(points) == 2 else points[2]
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    elif kind == "circle":
        (x, y), (edge_x, edge_y) = points
        radius = math.hypot(edge_x - x, edge_y - y)
        return Shape(label, [ellipse(x, y, radius, radius)])
    elif kind == "mask":
        return Shape(label, [], _mask(entry["mask"], points[0], height, width))
    elif kind != "polygon":
        raise DataError(
            f"{path} has a shape '{label}' of the kind {kind}, which has no area; delete it or "
            "draw a polygon."
        )
    return Shape(label, [[value for point in points for value in point]])


def _mask(text: str, corner: tuple[float, float], height: int, width: int) -> NDArray[np.bool_]:
    """Place a mask, a PNG in base64, at its upper left corner."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as file:
            part = np.asarray(file.convert("L")) > 0
    except (binascii.Error, OSError) as error:
        raise ValueError("a mask is no PNG") from error
    drawn = np.zeros((height, width), bool)
    left, top = round(corner[0]), round(corner[1])
    drawn[top : top + part.shape[0], left : left + part.shape[1]] = part[
        : height - top, : width - left
    ]
    return drawn


def _image_of(path: Path) -> Path:
    """Find the image: where the file says, or beside it under its own name."""
    named = str(_load(path).get("imagePath") or "").replace("\\", "/")
    for name in (named, without_anchor(named).name):
        if name and (found := locate(name, [path.parent])) is not None:
            return found
    if (found := find_image(path.with_suffix(""))) is not None:
        return found
    fix = "put it beside its JSON file"
    if _load(path).get("imageData"):
        fix = "write the picture out of the file (`labelme_export_json`), or " + fix
    raise DataError(
        f"{path} is of the image {named or path.stem}, which lies neither there nor beside it; "
        f"{fix}."
    )


def _labels(path: Path) -> list[str]:
    try:
        return [str(e["label"]) for e in _load(path)["shapes"]]
    except (KeyError, TypeError) as error:
        raise damaged(path, TOOL, error) from error


def _is_labelme(path: Path) -> bool:
    try:
        content = _load(path)
    except DataError:
        return False
    return isinstance(content.get("shapes"), list) and "imagePath" in content


def _load(path: Path) -> _File:
    content: _File | None = load_json(path, TOOL)
    return content if isinstance(content, dict) else {}


DATA_SET = DataSet(read, is_here, options=frozenset({"split_shares"}), names_classes=False)
