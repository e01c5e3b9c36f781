"""Data sets in the form of YOLO segmentation: a text file of polygons per image.

A line is ``class x y x y ...``, the coordinates as shares of the width and the height. Images lie
in a folder ``images`` and text files in ``labels`` beside it (``images/train`` and
``labels/train``, or ``train/images`` and ``train/labels``), or beside their text files. The names
of the classes are those of ``data.yaml`` or ``classes.txt``. An image with an empty text file, or
with none, shows background alone. Of objects that overlap the smaller one is on top.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.locate import locate, resolve_place
from segloom.data.sets.base import DataSet
from segloom.data.sets.shapes import (
    IGNORED,
    Shape,
    ShapeDecoder,
    class_names,
    name_list,
    shape_source,
    split_files,
    uncovered_class,
    visible,
)
from segloom.data.source import DatasetSource, data_root
from segloom.errors import DataError
from segloom.files import parse_yaml
from segloom.images.read import IMAGE_ENDINGS
from segloom.labels.palette import BACKGROUNDS, background_of
from segloom.types import Record

__all__ = ["DATA_SET", "is_here", "read", "read_shapes"]

MIN_WORDS = 7
"""A class and three corners; lines of five words are boxes of YOLO detection."""


FAR = 2
"""Coordinates beyond are no shares of a side, whatever a shape may reach outside its image."""
MIN_BOX = 5
"""Words of a box."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of a data set of YOLO segmentation; see `DatasetSource`.

    Raises:
        NoSplitError: Folders divide the files, but none is this split's.
        DataError: There are no such files, or the names of the classes are not found.
    """
    root = data_root(config)
    pairs = _in_folders(root) or _beside(root)
    if not pairs:
        raise DataError(
            f"{root} holds no folder images with a folder labels of .txt files beside it, and no "
            ".txt files beside images; set data.root."
        )
    names = _names(root)
    if not names and not config.classes:
        raise DataError(
            f"{root} has neither data.yaml nor classes.txt, so the names of the classes are not "
            "known; set data.classes, background first."
        )
    classes = class_names(config, names)
    numbered = _numbered(root, names, classes)
    chosen = set(split_files(root, list(pairs), config, split))
    mine = {image: labels for image, labels in pairs.items() if image in chosen}
    uncovered = uncovered_class(classes, numbered)
    decoder = ShapeDecoder(classes, read_shapes, uncovered, numbered)
    source = shape_source(root, mine, classes, decoder)
    bare = [image for image, labels in mine.items() if not labels.is_file()]
    if not bare:
        return source
    note = (
        f"{len(bare)} images of {split} have no text file and count as background throughout, such "
        f"as {bare[0]}."
    )
    return replace(source, notes=(*source.notes, note))


def is_here(root: Path) -> bool:
    """Return whether a folder holds text files of polygons beside images."""
    pairs = _in_folders(root)
    # Beside images lie boxes of detection, too, of data sets whose masks lie elsewhere.
    words = MIN_BOX if pairs else MIN_WORDS
    texts = list((pairs or _beside(root)).values())[:20]
    return any(labels.is_file() and _is_outlines(labels, words) for labels in texts)


def _numbered(root: Path, names: list[str], classes: tuple[str, ...]) -> tuple[str, ...]:
    """Name the numbers of the text files by the classes: by the names of their file, else in order.

    Raises:
        DataError: The classes are as many as the names neither with nor without a background.
    """
    if names and all(name in classes or name.lower() in BACKGROUNDS | IGNORED for name in names):
        return tuple(names)
    background = background_of(classes)
    objects = tuple(name for place, name in enumerate(classes) if place != background)
    if len(objects) == len(names) + 1 and names and background is None:
        objects = objects[1:]  # the first is the background, by another name
    if names and len(objects) != len(names):
        raise DataError(
            f"{root} names the classes {', '.join(names)}, but data.classes names "
            f"{', '.join(classes)}; name these, with background before them."
        )
    return objects


def read_shapes(record: Record, height: int, width: int, names: tuple[str, ...]) -> list[Shape]:
    """Read the shapes of an image, the largest first.

    Args:
        record: The image and its text file.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        names: Of the labels, by their numbers.

    Raises:
        DataError: A line is no polygon, or its class has no name.
    """
    path = record.label_file
    if not path.is_file():
        return []
    shapes = []
    for place, line in enumerate(_lines(path), start=1):
        if line.split():
            class_id, values = _polygon(line, names, f"{path}, line {place}")
            points = [v * (width, height)[i % 2] for i, v in enumerate(values)]
            shapes.append(Shape(names[class_id], [points]))
    return sorted(shapes, key=lambda shape: -_area(shape.polygons[0]))


def _polygon(line: str, names: tuple[str, ...], where: str) -> tuple[int, list[float]]:
    """Read a class and the corners x y, shares of the image."""
    words = line.split()
    try:
        number, *values = map(float, words)
        class_id = int(number)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: {error}; export it again.") from error
    if class_id != number or not all(abs(value) <= FAR for value in values):
        raise DataError(
            f"{where} is no class and shares of the width and height ({line:.60}); divide pixels "
            "by the size of the image."
        )
    if len(words) < MIN_WORDS or len(values) % 2:
        raise DataError(
            f"{where} has {len(words)} words; a polygon is a class and three corners x y or more "
            "(five words are a box: export for segmentation)."
        )
    if not 0 <= class_id < len(names):
        raise DataError(
            f"{where} has the class {class_id}, but there are {len(names)} names "
            f"({', '.join(names)}); complete data.yaml."
        )
    return class_id, values


def _area(points: list[float]) -> float:
    x, y = points[::2], points[1::2]
    turned = zip(x, y, x[1:] + x[:1], y[1:] + y[:1], strict=True)
    return abs(sum(a * d - c * b for a, b, c, d in turned))


def _beside(root: Path) -> dict[Path, Path]:
    """Map the images of every folder that holds text files named like images to their own."""
    texts = visible(root.rglob("*.[tT][xX][tT]"), root)
    pairs: dict[Path, Path] = {}
    for folder in dict.fromkeys(text.parent for text in texts):
        found = {image: image.with_suffix(".txt") for image in visible(folder.iterdir(), root)}
        for image, text in found.items():
            if image.suffix.lower() in IMAGE_ENDINGS and image.is_file():
                pairs[image] = locate(text.name, [folder]) or text
    return pairs if any(text.is_file() for text in pairs.values()) else {}


def _in_folders(root: Path) -> dict[Path, Path]:
    """Map every image below a folder ``images`` to its text file, which may not exist."""
    pairs: dict[Path, Path] = {}
    folders = [f for f in visible(root.rglob("[iI][mM][aA][gG][eE][sS]"), root) if f.is_dir()]
    for images in folders:
        labels = resolve_place(images.parent, "labels")
        if labels is None or not labels.is_dir():
            continue
        for image in visible(images.rglob("*"), root):
            if image.suffix.lower() in IMAGE_ENDINGS and image.is_file():
                text = (labels / image.relative_to(images)).with_suffix(".txt")
                pairs[image] = locate(text.name, [text.parent]) or text
    return dict(sorted(pairs.items()))


def _is_outlines(path: Path, least: int) -> bool:
    """Tell lines of so many numbers or more from other text."""
    try:
        lines = [[float(word) for word in line.split()] for line in _lines(path)]
    except (DataError, ValueError):
        return False
    return any(len(values) >= least for values in lines)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text; export it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def _names(root: Path) -> list[str]:
    """Read the names of the classes, in the order of their numbers."""
    for path in (root / "data.yaml", root / "dataset.yaml", root / "data.yml"):
        if not path.is_file():
            continue
        try:
            content: dict[str, dict[int, str] | list[str]] = parse_yaml(
                path.read_text(encoding="utf-8-sig")
            )
            names = content["names"]
            if isinstance(names, dict):
                return [str(names[k]) for k in sorted(names, key=int)]
            return [str(name) for name in names]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} has no list `names` of the classes ({error}).") from error
    return name_list(root) or name_list(root / "labels")


DATA_SET = DataSet(read, is_here, options=frozenset({"split_shares"}), names_classes=False)
