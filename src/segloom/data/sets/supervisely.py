"""Data sets exported from Supervisely: ``meta.json`` and a JSON file per image.

https://docs.supervisely.com, "Supervisely JSON format". Images lie in a folder ``img`` and the
files, ``NAME.png.json``, in ``ann`` beside it, below folders of any names. Polygons, bitmaps and
rectangles are drawn in the order of the file, the last on top; other shapes have no area and are
refused. As Supervisely itself draws them, a polygon covers the pixels that its edges run through,
those of a hole not. The classes are background and those of ``meta.json`` in its order. Folders
train, val and test divide the files; without them a hash of their names does.
"""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.locate import locate
from segloom.data.sets.base import DataSet
from segloom.data.sets.shapes import (
    Shape,
    ShapeDecoder,
    check_drawn_size,
    class_names,
    damaged,
    find_image,
    load_json,
    pair_once,
    shape_source,
    split_files,
    uncovered_class,
    visible,
)
from segloom.data.source import DatasetSource, data_root
from segloom.errors import DataError
from segloom.types import Record

__all__ = ["DATA_SET", "is_here", "read", "read_shapes"]

TOOL = "Supervisely"
MAX_BITMAP = 2**28
"""Bytes of an unpacked PNG."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of an export of Supervisely; see `DatasetSource`.

    Raises:
        NoSplitError: Folders divide the files, but none is this split's.
        DataError: There are no such files, one is damaged, or its image is not found.
    """
    root = data_root(config)
    meta = root / "meta.json"
    content = load_json(meta, TOOL)
    try:
        found = [str(entry["title"]) for entry in content["classes"]]
    except (KeyError, TypeError) as error:
        raise damaged(meta, TOOL, error) from error
    files = _files(root)
    if not files:
        raise DataError(f"{root} holds no folder ann with a JSON file per image; set data.root.")
    classes = class_names(config, found)
    pairs = pair_once((_image_of(path), path) for path in split_files(root, files, config, split))
    decoder = ShapeDecoder(classes, read_shapes, uncovered_class(classes, found))
    return shape_source(root, pairs, classes, decoder)


def is_here(root: Path) -> bool:
    """Return whether a folder holds an export of Supervisely."""
    try:
        content = load_json(root / "meta.json", TOOL)
    except DataError:
        return False
    return isinstance(content, dict) and "classes" in content and bool(_files(root))


def read_shapes(record: Record, height: int, width: int, classes: tuple[str, ...]) -> list[Shape]:
    """Read the shapes of an image, the lowest first.

    Raises:
        DataError: The file is damaged, is of an image of another size, or holds a shape without an
            area.
    """
    path = record.label_file
    content = load_json(path, TOOL)
    try:
        size = content["size"]["height"], content["size"]["width"]
        check_drawn_size(record, size, height, width)
        return [_shape(entry, path, height, width) for entry in content["objects"]]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(path, TOOL, error) from error


class _Bitmap(TypedDict):
    data: str
    origin: tuple[float, float]


class _Points(TypedDict, total=False):
    exterior: list[list[float]]
    interior: list[list[list[float]]]


class _Object(TypedDict, total=False):
    classTitle: str
    geometryType: str
    bitmap: _Bitmap
    points: _Points


def _shape(entry: _Object, path: Path, height: int, width: int) -> Shape:
    label, kind = str(entry["classTitle"]), entry.get("geometryType")
    if kind not in ("polygon", "rectangle", "bitmap"):
        raise DataError(
            f"{path} has a shape '{label}' of the kind {kind}, which has no area; delete it or "
            "draw a polygon."
        )
    drawn = np.zeros((height, width), np.uint8)
    if kind == "bitmap":
        part = _bitmap(entry["bitmap"]["data"])
        left, top = (int(value) for value in entry["bitmap"]["origin"])
        if left < 0 or top < 0:
            raise ValueError("a bitmap begins outside the image")
        rows, columns = max(0, height - top), max(0, width - left)
        drawn[top : top + part.shape[0], left : left + part.shape[1]] = part[:rows, :columns]
        return Shape(label, [], drawn > 0)
    exterior = _corners(entry["points"]["exterior"])
    (left, top), (right, bottom) = exterior.min(0), exterior.max(0)
    if right < 0 or bottom < 0 or left > width or top > height:
        raise ValueError(f"a shape '{label}' lies wholly outside the {width} x {height} pixels")
    if kind == "rectangle":
        drawn[max(0, top) : bottom + 1, max(0, left) : right + 1] = 1
        return Shape(label, [], drawn > 0)
    cv2.fillPoly(drawn, [exterior], 1)
    holes = [_corners(hole) for hole in entry["points"].get("interior") or ()]
    if holes:
        cv2.fillPoly(drawn, holes, 0)
    return Shape(label, [], drawn > 0)


def _corners(points: list[list[float]]) -> NDArray[np.int32]:
    """Return corners ``(P, 2)`` in whole pixels."""
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if not len(corners) or not (np.abs(corners) < 2**15).all():
        raise ValueError("an outline has no points or they lie far outside the image")
    return np.rint(corners).astype(np.int32)


def _bitmap(text: str) -> NDArray[np.bool_]:
    """Unpack a PNG, deflated and in base64: its transparency is the mask, or its values are."""
    try:
        packed = zlib.decompressobj()
        data = packed.decompress(base64.b64decode(text, validate=True), MAX_BITMAP)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as file:
            if file.mode in ("RGBA", "LA"):
                return np.asarray(file.getchannel("A")) > 0
            return np.asarray(file) > 0 if file.mode != "RGB" else np.asarray(file).max(-1) > 0
    except (binascii.Error, zlib.error, OSError, Image.DecompressionBombError) as error:
        raise ValueError("a bitmap is no deflated PNG") from error


def _files(root: Path) -> list[Path]:
    return [path for path in visible(root.rglob("*.json"), root) if path.parent.name == "ann"]


def _image_of(path: Path) -> Path:
    image = path.parent.parent / "img" / path.name.removesuffix(".json")
    found = locate(image.name, [image.parent]) or find_image(image)  # formerly NAME.json
    if found is None:
        raise DataError(f"{path} is of the image {image}, which is not there; export with images.")
    return found


DATA_SET = DataSet(read, is_here, options=frozenset({"split_shares"}), names_classes=False)
