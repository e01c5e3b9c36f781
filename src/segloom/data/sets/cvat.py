"""Data sets exported as "CVAT for images 1.1": one ``annotations.xml`` with polygons and masks.

https://docs.cvat.ai, "CVAT for images". Shapes are drawn by their ``z_order``, then in the order of
the file; polygons, boxes, ellipses and masks have an area, lines and points are refused. The
classes are background and the labels of the task in their order. Images lie beside the file, or in
``images``, under the names that the file gives; the attribute ``subset`` or a folder on the way
divides them, else a hash of their names.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.locate import locate, plain_name, tails_of, without_anchor
from segloom.data.pairing import SPLIT_NAMES
from segloom.data.sets.base import DataSet
from segloom.data.sets.shapes import (
    Shape,
    ShapeDecoder,
    check_drawn_size,
    class_names,
    ellipse,
    pair_once,
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

MAX_BYTES = 2**30
"""Of an XML file."""


class _Image(NamedTuple):
    height: int
    width: int
    subset: str
    shapes: tuple[tuple[str, dict[str, str]], ...]
    """Tag and attributes, the lowest first."""


class _Task(NamedTuple):
    labels: list[str]
    images: dict[str, _Image]


class _Place(NamedTuple):
    """Where the shapes of an image are written."""

    path: Path
    name: str
    """Of the image in that file."""
    subset: str

    def __str__(self) -> str:
        return f"{self.name} of {self.path}"


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of a CVAT export; see `DatasetSource`.

    Raises:
        NoSplitError: Subsets or folders divide the images, but none is this split's.
        DataError: There is no such file, it is damaged, or an image is not found.
    """
    root = data_root(config)
    places: list[tuple[Path, _Place]] = []
    labels: list[str] = []
    for path in _files(root):
        task = _load(path, _changed(path))
        if not task.images:
            raise DataError(
                f"{path} lists no image, as an export of tracks does; export the task as CVAT for "
                "images 1.1."
            )
        used = (facts["label"] for image in task.images.values() for _, facts in image.shapes)
        labels += task.labels or sorted(set(used))
        for name, entry in task.images.items():
            place = _Place(path, name, entry.subset.lower())
            places.append((_find(root, path, name), place))
    images = pair_once(places)
    found = list(dict.fromkeys(labels))
    classes = class_names(config, found)
    subsets = {place.subset for place in images.values()}
    if any(subsets & set(names) for names in SPLIT_NAMES.values()):
        wanted = SPLIT_NAMES[split]
        chosen = [image for image, place in images.items() if place.subset in wanted]
    else:
        chosen = split_files(root, list(images), config, split)
    decoder = ShapeDecoder(classes, read_shapes, uncovered_class(classes, found))
    return shape_source(root, {image: images[image].path for image in chosen}, classes, decoder)


def is_here(root: Path) -> bool:
    """Return whether a folder holds exports of CVAT for images."""
    try:
        with _files(root)[0].open("rb") as file:
            return b"<annotations" in file.read(4096)  # what is wrong with it, `read` says
    except OSError:
        return False


def _files(root: Path) -> list[Path]:
    """Find the file of a task or a project, or those of several, each in a folder of its own."""
    whole = root / "annotations.xml"
    if whole.is_file():
        return [whole]
    return visible(root.glob("*/annotations.xml"), root) or [whole]


def read_shapes(record: Record, height: int, width: int, classes: tuple[str, ...]) -> list[Shape]:
    """Read the shapes of an image, the lowest first.

    Raises:
        DataError: A shape is damaged or has no area, or the image has another size.
    """
    path = record.label_file
    image = _entry_of(_load(path, _changed(path)), record.image, path)
    check_drawn_size(record, (image.height, image.width), height, width)
    try:
        return [_shape(path, tag, facts, height, width) for tag, facts in image.shapes]
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{path} has a damaged shape in {record.image.name} ({error}); export it again."
        ) from error


def _entry_of(task: _Task, image: Path, path: Path) -> _Image:
    parts = image.parts
    for length in range(len(parts), 0, -1):  # the longest name that fits
        if (entry := task.images.get("/".join(parts[-length:]))) is not None:
            return entry
    # In other capitals or with other accents than the file has on the disk.
    end = plain_name(image.as_posix())
    alike = [name for name in task.images if f"/{end}".endswith(f"/{plain_name(name)}")]
    if alike:
        return task.images[max(alike, key=len)]
    # Under a path of another machine, of which only the end lies here.
    lengths = {name: _shared_tail(plain_name(name), end) for name in task.images}
    if longest := max(lengths.values(), default=0):
        return task.images[next(name for name in lengths if lengths[name] == longest)]
    raise DataError(f"{path} does not name the image {image}.")


def _shared_tail(name: str, end: str) -> int:
    """Count the parts at the end that two paths share."""
    parts = zip(reversed(name.split("/")), reversed(end.split("/")), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], parts)))


def _shape(path: Path, tag: str, facts: dict[str, str], height: int, width: int) -> Shape:
    label = facts["label"]
    if tag == "polygon":
        return Shape(label, [_numbers(facts["points"])])
    angle = float(facts.get("rotation", 0))
    if tag == "box":
        left, top, right, bottom = (float(facts[k]) for k in ("xtl", "ytl", "xbr", "ybr"))
        box = rectangle(left, top, right, bottom)
        return Shape(label, [turned(box, angle, (left + right) / 2, (top + bottom) / 2)])
    if tag == "ellipse":
        x, y, wide, high = (float(facts[k]) for k in ("cx", "cy", "rx", "ry"))
        return Shape(label, [turned(ellipse(x, y, wide, high), angle, x, y)])
    if tag == "mask":
        return Shape(label, [], _mask(facts, height, width))
    raise DataError(
        f"{path} has a shape '{label}' of the kind {tag}, which has no area; delete it or draw a "
        "polygon."
    )


def _numbers(points: str) -> list[float]:
    return [float(value) for point in points.split(";") for value in point.split(",")]


def _mask(facts: dict[str, str], height: int, width: int) -> NDArray[np.bool_]:
    """Place a mask, run lengths row by row that begin with background, into its box."""
    left, top, wide, high = (int(facts[k]) for k in ("left", "top", "width", "height"))
    runs = [int(word) for word in facts["rle"].split(",")]
    inside = left >= 0 and top >= 0 and left + wide <= width and top + high <= height
    if not inside or min(runs) < 0 or sum(runs) != wide * high:
        raise ValueError("a mask does not fill its box")
    part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(high, wide)
    drawn = np.zeros((height, width), bool)
    drawn[top : top + high, left : left + wide] = part
    return drawn


def _find(root: Path, path: Path, name: str) -> Path:
    """Find an image in the folder of its file, or in that of the data set."""
    folders = [place for folder in (path.parent, root) for place in (folder, folder / "images")]
    for tail in tails_of(PurePosixPath(name)):
        if (found := locate(tail, folders)) is not None:
            return found
    raise DataError(
        f"{path} lists {name}, which is neither in {folders[0]} nor in {folders[1]}; export with "
        "images, or put them there."
    )


def _changed(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    if status.st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES >> 30} GiB; export the task in parts.")
    return status.st_mtime_ns


@lru_cache(maxsize=16)
def _load(path: Path, _changed: int) -> _Task:
    try:
        # Expat of today refuses entities that grow without bound; a DOCTYPE is no part of CVAT's.
        if b"<!DOCTYPE" in (content := path.read_bytes())[:4096]:
            raise ValueError("it declares a DOCTYPE")
        root = ElementTree.fromstring(content)  # noqa: S314 - see above
        if root.tag != "annotations":
            raise ValueError(f"its root is {root.tag}")
        labels = [str(e.findtext("name")) for e in root.iterfind("meta//labels/label")]
        images = {}
        for entry in root.iterfind("image"):
            if (name := _name(entry)) in images:
                raise ValueError(f"it lists {name} twice, as jobs do that share an image")
            images[name] = _read_image(entry)
    except (ElementTree.ParseError, KeyError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no export of CVAT for images 1.1 ({error}).") from error
    return _Task(labels, images)


def _name(entry: ElementTree.Element) -> str:
    name = without_anchor(entry.attrib["name"])
    if ".." in name.parts:
        raise ValueError(f"{name} leads out of the data set")
    return str(name)


def _read_image(entry: ElementTree.Element) -> _Image:
    shapes = [(shape.tag, dict(shape.attrib)) for shape in entry if shape.tag != "tag"]
    shapes.sort(key=lambda shape: int(shape[1].get("z_order", "0")))
    facts = entry.attrib
    sides = int(facts["height"]), int(facts["width"])
    return _Image(*sides, facts.get("subset", ""), tuple(shapes))


DATA_SET = DataSet(read, is_here, options=frozenset({"split_shares"}), names_classes=False)
