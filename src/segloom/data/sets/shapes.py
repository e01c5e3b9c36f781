"""What the readers of labelling tools share: shapes of objects, drawn into a label map.

A shape lies on top of those before it. Coordinates are in pixels from the outer corner of the first
pixel; a pixel belongs to a polygon if its centre does (`segloom.data.sets.outlines`).
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.locate import plain_name
from segloom.data.pairing import SPLIT_NAMES, divide
from segloom.data.places import place_of
from segloom.data.planes import FileDecoder, Planes
from segloom.data.sets.outlines import draw_outline
from segloom.data.source import SPLITS, DatasetSource, check_split, unique_ids
from segloom.errors import DataError, NoSplitError
from segloom.files import parse_json
from segloom.images.read import IMAGE_ENDINGS, is_hidden
from segloom.labels.decoder import LabelDecoder
from segloom.labels.palette import BACKGROUNDS, background_of, class_palette
from segloom.labels.stored import StoredLabels
from segloom.types import IGNORE_INDEX, LabelSet, Record

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "Shape",
    "ShapeDecoder",
    "begins_with",
    "check_drawn_size",
    "class_names",
    "damaged",
    "ellipse",
    "find_image",
    "from_root",
    "images_by_name",
    "load_json",
    "name_list",
    "pair_once",
    "rectangle",
    "shape_source",
    "split_files",
    "turned",
    "uncovered_class",
    "visible",
]

BACKGROUND = "background"
IGNORED = frozenset({"__ignore__", "_ignore_", "ignore", "void"})
"""Labels that tools use for pixels that do not count."""
NO_BACKGROUND = (
    "data.classes names no background, so pixels under no shape are void; to learn them as a class "
    "of their own, name it first, as in data.classes: [background, ...]."
)
ELLIPSE_CORNERS = 64
NAME_FILES = ("labels.txt", "classes.txt", "class_names.txt", "obj.names")


Value = TypeVar("Value")


class Shape(NamedTuple):
    """An object: its label and its outline, a list of polygons ``[x, y, x, y, ...]``."""

    label: str
    polygons: list[list[float]]
    mask: NDArray[np.bool_] | None = None
    """bool ``(H, W)`` in place of polygons."""


@dataclass(frozen=True)
class ShapeDecoder(FileDecoder):
    """Reads an image and draws its shapes; ``Record.mask`` is the file that holds them.

    Args:
        classes: Names of the background and the labels, in the order of their class ids.
        read_shapes: Called with the record, the image's height and width and names of labels; a
            function of a module, since decoders are pickled. It returns the shapes from the lowest
            to the top.
        uncovered: Class id of pixels under no shape; 255 makes them void.
        numbered: Names of the labels by their numbers, where files number them; these instead of
            the classes are handed to ``read_shapes``.
    """

    classes: tuple[str, ...]
    read_shapes: Callable[[Record, int, int, tuple[str, ...]], list[Shape]]
    uncovered: int = 0
    numbered: tuple[str, ...] = ()
    is_sequential: bool = False

    @property
    def fingerprint(self) -> str:
        """Text that differs where the same files decode differently."""
        names = json.dumps((self.classes, self.uncovered, self.numbered))
        return f"shapes 2 {self.read_shapes.__module__} {names}{self.pixel_fingerprint}"

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Read an image and draw its label map.

        Raises:
            DataError: The image or a shape cannot be used.
        """
        path = record.label_file
        image = self.read_image(record.image)
        height, width = image.shape[:2]
        labels = np.full((height, width), self.uncovered, np.uint8)
        names = self.numbered or self.classes
        for number, shape in enumerate(self.read_shapes(record, height, width, names), 1):
            where = f"{path}: shape {number} ('{shape.label}')"
            drawn = shape.mask
            if drawn is None:
                drawn = draw_outline(shape.polygons, height, width, where)
            labels[drawn] = self._class_of(shape.label, where)
        return Planes(image, decoder.convert(StoredLabels(labels, "grey", is_lossy=False), path))

    def _class_of(self, label: str, where: str) -> int:
        if label in self.classes:
            return self.classes.index(label)
        if label.lower() in IGNORED:
            return IGNORE_INDEX
        if label.lower() not in BACKGROUNDS:
            raise DataError(
                f"{where} has a label that is none of the classes ({', '.join(self.classes)}); "
                "correct it there, or name it in data.classes."
            )
        return self.uncovered


def class_names(config: DataConfig, found: Iterable[str]) -> tuple[str, ...]:
    """Return the classes: those of ``data.classes``, else background and the labels found.

    Raises:
        DataError: There are none, or more than a label map holds.
    """
    if config.classes:
        return config.classes
    names = [name for name in found if name.lower() not in BACKGROUNDS | IGNORED]
    if not names:
        raise DataError(f"{config.root} has no labelled object; label some, or set data.classes.")
    if len(names) >= IGNORE_INDEX:
        raise DataError(
            f"{config.root} has {len(names)} labels, but label maps hold at most "
            f"{IGNORE_INDEX - 1} besides the background; name those to use in data.classes."
        )
    return (BACKGROUND, *names)


def uncovered_class(classes: Sequence[str], labels: Iterable[str]) -> int:
    """Return the class id of pixels under no shape.

    It is that of the background, by its name or because no shape is of the first class; where the
    user's classes leave no room for one, 255: such pixels are void, and not of the first class.
    """
    background = background_of(classes)
    if background is not None:
        return background
    return IGNORE_INDEX if classes[0] in set(labels) else 0


def load_json(path: Path, tool: str) -> Any:
    """Read a file that a tool wrote as JSON; the last few stay in memory.

    Raises:
        DataError: It cannot be read or is no JSON.
    """
    try:
        return _load_json(path, path.stat().st_mtime_ns)
    except ValueError as error:
        raise damaged(path, tool, error) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


@lru_cache(maxsize=64)  # the time of change makes an edited file a new one
def _load_json(path: Path, _changed: int) -> object:
    return parse_json(path.read_bytes())


def begins_with(path: Path, character: bytes) -> bool:
    """Return whether the first character of a file that is no space is this one."""
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == character
    except OSError:
        return False


def damaged(path: Path, tool: str, error: Exception) -> DataError:
    """Say that a file is not what a tool writes."""
    return DataError(f"{path} is no file of {tool} or is damaged ({error}); save it again there.")


def check_drawn_size(record: Record, size: tuple[int, int], height: int, width: int) -> None:
    """Compare the height and width that a file gives with those of the image.

    Raises:
        DataError: They differ.
    """
    if size != (height, width):
        raise DataError(
            f"{record.image} is {width} x {height} pixels, but {record.mask} says {size[1]} x "
            f"{size[0]}; use the image that was labelled."
        )


def ellipse(x: float, y: float, wide: float, high: float) -> list[float]:
    """Outline an ellipse ``[x, y, x, y, ...]`` around a point, by its half axes."""
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
    points = np.stack([x + wide * np.cos(angles), y + high * np.sin(angles)], axis=1)
    return [float(value) for value in points.ravel()]


def rectangle(left: float, top: float, right: float, bottom: float) -> list[float]:
    """Outline a rectangle as ``[x, y, x, y, ...]``."""
    return [left, top, right, top, right, bottom, left, bottom]


def turned(points: list[float], degrees: float, x: float, y: float) -> list[float]:
    """Turn an outline clockwise on the screen around a point."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    right, down = np.array(points[::2]) - x, np.array(points[1::2]) - y
    rows = np.stack([x + right * cos - down * sin, y + right * sin + down * cos], axis=1)
    return [float(value) for value in rows.ravel()]


def images_by_name(root: Path) -> dict[str, list[Path]]:
    """Map the names of all image files below a folder, without folders, to the files.

    A name that no file has in this form stands for those that differ from it by `plain_name`.
    """
    found: dict[str, list[Path]] = {}
    for path in visible(root.rglob("*"), root):
        if path.suffix.lower() in IMAGE_ENDINGS and path.is_file():
            found.setdefault(path.name, []).append(path)
    alike: dict[str, list[Path]] = {}
    for name, files in found.items():
        alike.setdefault(plain_name(name), []).extend(files)
    return alike | found


def visible(paths: Iterable[Path], root: Path) -> list[Path]:
    """Sort paths below a folder, without hidden files and what systems put beside files."""
    return sorted(p for p in paths if not any(map(is_hidden, p.relative_to(root).parts)))


def from_root(path: Path, root: Path) -> Path:
    """Return the way to a file from a folder; files name images that lie outside it, too."""
    return Path(os.path.relpath(path, root))


def name_list(root: Path) -> list[str]:
    """Read the names of the labels from the text file beside them; empty if there is none.

    Raises:
        DataError: It is not text.
    """
    for name in NAME_FILES:
        if (path := root / name).is_file():
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except (UnicodeDecodeError, OSError) as error:
                raise DataError(f"{path} cannot be read as text; save it as UTF-8.") from error
            return [line.strip() for line in lines if line.strip()]
    return []


def split_files(
    root: Path,
    files: Sequence[Path],
    config: DataConfig,
    split: str,
    *,
    groups: Mapping[Path, str] | None = None,
) -> list[Path]:
    """Choose the files of a split: by a folder train, val or test on their way, else by a hash.

    Args:
        root: Folder of the data set.
        files: All files, below it.
        config: With the shares of the splits, and what keeps files together.
        split: Which.
        groups: Files that stay together, if ``data.group_by`` does not say so itself.

    Raises:
        NoSplitError: Folders divide the files, but none is this split's.
    """
    check_split(split)
    by_split = _by_folder(root, files)
    if by_split:
        if split not in by_split:
            raise NoSplitError(f"{root} has no split {split} (it has {', '.join(by_split)}).")
        return by_split[split]
    if groups is None and config.group_by:
        groups = {path: place_of(config, path).group for path in files}
    groups = groups or {}
    names = {path: groups.get(path) or from_root(path, root).as_posix() for path in files}
    division = divide(list(dict.fromkeys(names.values())), config.split_shares)
    return [path for path, name in names.items() if division[name] == split]


def _by_folder(root: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Sort files into the splits after which a folder on their way is named."""
    by_split: dict[str, list[Path]] = {name: [] for name in SPLITS}
    for path in files:
        parts = {part.lower() for part in from_root(path, root).parts[:-1]}
        name = next((name for name in SPLITS if parts & set(SPLIT_NAMES[name])), None)
        if name is not None:
            by_split[name].append(path)
    return {name: members for name, members in by_split.items() if members}


def find_image(stem: Path) -> Path | None:
    """Find the image of this path without its ending, whatever its capitals and accents."""
    if not stem.parent.is_dir():
        return None
    exact = sorted(stem.parent.glob(f"{glob.escape(stem.name)}.*"))
    alike = (p for p in stem.parent.iterdir() if plain_name(p.stem) == plain_name(stem.name))
    for path in chain((path for path in exact if path.stem == stem.name), alike):
        if path.suffix.lower() in IMAGE_ENDINGS and path.is_file():
            return path
    return None


def pair_once(pairs: Iterable[tuple[Path, Value]]) -> dict[Path, Value]:
    """Map images to what is drawn on them.

    Args:
        pairs: Of both; messages name the second as it is.

    Raises:
        DataError: Two are of one image, of which only one would be read.
    """
    found: dict[Path, Value] = {}
    owners: dict[str, Value] = {}
    for image, drawn in pairs:
        place = os.path.realpath(image)  # one file may be written as a.png and as ../images/a.png
        if place in owners:
            raise DataError(
                f"{owners[place]} and {drawn} are both of the image {image}; keep one of them."
            )
        found[image] = owners[place] = drawn
    return found


def shape_source(
    root: Path, pairs: Mapping[Path, Path], classes: tuple[str, ...], decoder: ShapeDecoder
) -> DatasetSource:
    """Make the source of images (keys) and the files of their shapes (values)."""
    keys = [from_root(path, root).with_suffix("") for path in pairs]
    records = tuple(
        Record(record_id, image, shapes)
        for record_id, (image, shapes) in zip(unique_ids(keys), pairs.items(), strict=True)
    )
    labels = LabelSet(classes, class_palette(classes))
    notes = [NO_BACKGROUND] if decoder.uncovered == IGNORE_INDEX else []
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(plain_name(name.strip()), []).append(name)
    notes += [
        f"the labels {', '.join(map(repr, names))} differ in capitals or spaces alone and are "
        "classes of their own; if they are one, give them one spelling where they were drawn."
        for names in alike.values()
        if len(names) > 1
    ]
    return DatasetSource(records, labels, "index", decode=decoder, notes=tuple(notes))
