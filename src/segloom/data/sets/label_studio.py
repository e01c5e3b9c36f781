"""Data sets exported from Label Studio as JSON or JSON-MIN: one file, a task per image.

https://labelstud.io/guide/export. Polygons, brushes, rectangles and ellipses are drawn in the order
of the file, the last on top; other regions have no area and are refused. The classes are background
and the labels in the order of ``classes.txt`` beside the file or, without one, of the alphabet.
Images lie anywhere below the folder under the name of the upload, with or without the eight digits
that Label Studio puts before it. Folders train, val and test divide them; without them a hash of
their names does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.locate import plain_name
from segloom.data.sets.base import DataSet
from segloom.data.sets.shapes import (
    Shape,
    ShapeDecoder,
    begins_with,
    check_drawn_size,
    class_names,
    damaged,
    ellipse,
    from_root,
    images_by_name,
    load_json,
    name_list,
    pair_once,
    rectangle,
    shape_source,
    split_files,
    turned,
    uncovered_class,
    visible,
)
from segloom.data.source import DatasetSource, data_root, unique_ids
from segloom.errors import DataError
from segloom.images.read import IMAGE_ENDINGS
from segloom.types import Record

__all__ = ["DATA_SET", "is_here", "read", "read_brush", "read_shapes"]

TOOL = "Label Studio"
AREAS = ("polygonlabels", "brushlabels", "rectanglelabels", "ellipselabels")
NO_AREA = ("choices", "labels", "textarea", "rating", "relation")
UPLOAD = re.compile(r"[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split of an export of Label Studio; see `DatasetSource`.

    Raises:
        NoSplitError: Folders divide the images, but none is this split's.
        DataError: There is no such file, it is damaged, an image is not found, or one was annotated
            several times.
    """
    root = data_root(config)
    path = _export(root)
    if path is None:
        raise DataError(f"{root} holds no JSON file of {TOOL}; set data.root.")
    tasks = load_json(path, TOOL)
    try:
        regions = [region for task in tasks for region in _regions(task, path)]
        found = set(chain.from_iterable(map(_labels, regions)))
        known = images_by_name(root)
        images = [_find(_image_name(task), known, path) for task in tasks]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(path, TOOL, error) from error
    pair_once((image, f"{path}, task {number},") for number, image in enumerate(images, 1))
    classes = class_names(config, name_list(root) or sorted(found))
    chosen = set(split_files(root, images, config, split))
    ids = unique_ids([from_root(image, root).with_suffix("") for image in images])
    records = tuple(
        Record(record_id, image, path, part=place)
        for place, (record_id, image) in enumerate(zip(ids, images, strict=True))
        if image in chosen
    )
    decoder = ShapeDecoder(classes, read_shapes, uncovered_class(classes, found))
    source = shape_source(root, {}, classes, decoder)
    return replace(source, records=records)


def is_here(root: Path) -> bool:
    """Return whether a folder holds an export of Label Studio as JSON."""
    return _export(root) is not None


def read_shapes(record: Record, height: int, width: int, classes: tuple[str, ...]) -> list[Shape]:
    """Read the shapes of an image, the lowest first.

    Raises:
        DataError: A region is damaged or has no area, or the image has another size.
    """
    path = record.label_file
    try:
        regions = _regions(load_json(path, TOOL)[record.part or 0], path)
        return [_shape(region, record, height, width) for region in regions]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(path, TOOL, error) from error


def read_brush(runs: list[int], height: int, width: int) -> NDArray[np.bool_]:
    """Unpack a brush: a stream of bits that holds the bytes of an RGBA image in runs.

    The stream begins with the number of bytes (32 bits), the bits of a value less one (5) and four
    lengths less one (4 each). A run is a flag, the place of its length among the four (2), its
    length less one, and the value once if the flag is set, else each value.

    Args:
        runs: Bytes as the JSON lists them.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        bool ``(H, W)``: where the brush is not transparent.

    Raises:
        ValueError: It is not of this form or of another size.
    """
    bits = np.unpackbits(np.array(runs, np.uint8))
    place = 0

    def number(length: int) -> int:
        nonlocal place
        place += length
        return int("".join(map(str, bits[place - length : place])), 2)

    total, size = number(32), number(5) + 1
    lengths = [number(4) + 1 for _ in range(4)]
    if total != height * width * 4 or size > 8:
        raise ValueError(f"a brush of {total} bytes is not of {width} x {height} pixels")
    pixels, done = np.zeros(total, np.uint8), 0
    while done < total:
        is_run = number(1)
        end = done + number(lengths[number(2)]) + 1
        if end > total:
            raise ValueError("a brush is longer than its image")
        if is_run:
            pixels[done:end] = number(size)
        else:
            words = bits[place : place + (end - done) * size].reshape(end - done, size)
            pixels[done:end] = words @ (1 << np.arange(size)[::-1])
            place += (end - done) * size
        done = end
    drawn: NDArray[np.bool_] = pixels.reshape(height, width, 4)[:, :, 3] > 0
    return drawn


def _export(root: Path) -> Path | None:
    """Find the file: a list of tasks, each with an image."""
    for path in visible(root.glob("*.json"), root):
        try:
            tasks = load_json(path, TOOL) if begins_with(path, b"[") else None
        except DataError:
            continue
        if isinstance(tasks, list) and tasks and isinstance(tasks[0], dict):
            try:
                _image_name(tasks[0])
            except ValueError:
                continue
            return path
    return None


def _image_name(task: dict[str, Any]) -> str:
    """Return the place of the image: the value, of whatever name, that is a path to one."""
    for value in (task.get("data") or task).values():
        if not isinstance(value, str):
            continue
        parts = urlsplit(value.replace("\\", "/"))
        name = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
        if PurePosixPath(name).suffix.lower() in IMAGE_ENDINGS:
            return name
    raise ValueError("a task has no image")


def _regions(task: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """List the regions of an image in one form, whichever of the two exports they come from."""
    if "data" not in task:
        return [dict(region) for region in _minimal(task)]
    entries = _ground_truth(task, path)
    names = {
        entry["id"]: entry["value"]["labels"]
        for entry in entries
        if entry["type"] == "labels" and "id" in entry
    }
    return [_region(entry, names) for entry in entries if entry["type"] not in NO_AREA]


def _ground_truth(task: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """List what the one annotation that counts holds; nothing where there is none."""
    done = [entry for entry in task["annotations"] if not entry.get("was_cancelled")]
    chosen = [entry for entry in done if entry.get("ground_truth")] or done
    if len(chosen) > 1:
        raise DataError(
            f"{path} has {len(chosen)} annotations of {_image_name(task)}; mark one as ground "
            "truth there, or delete the others."
        )
    return list(chosen[0]["result"] or ()) if chosen else []


def _region(entry: dict[str, Any], names: dict[str, list[str]]) -> dict[str, Any]:
    """Put the values of a region beside its facts; its labels may be an entry of their own."""
    region = {**entry["value"], **{k: v for k, v in entry.items() if k != "value"}}
    if not _labels(region) and entry.get("id") in names:
        region[f"{entry['type']}labels"] = names[entry["id"]]
    return region


def _minimal(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for value in task.values():
        if isinstance(value, list):
            yield from (region for region in value if isinstance(region, dict))


def _labels(region: dict[str, Any]) -> list[str]:
    return [str(label) for key in AREAS for label in region.get(key) or ()]


def _shape(region: dict[str, Any], record: Record, height: int, width: int) -> Shape:
    labels = _labels(region)
    if len(labels) != 1:
        raise DataError(
            f"{record.mask} has a region of {record.image.name} with {len(labels)} labels or of a "
            f"kind without an area ({region.get('type', 'unknown')}); give it one label, or delete "
            "it."
        )
    size = (region.get("original_height", height), region.get("original_width", width))
    check_drawn_size(record, size, height, width)
    if region.get("image_rotation"):
        raise DataError(
            f"{record.mask} has regions drawn on {record.image.name} turned by "
            f"{region['image_rotation']} degrees; turn it back there."
        )
    if "rle" in region:
        return Shape(labels[0], [], read_brush(region["rle"], height, width))
    if "points" in region:
        points = [(x * width / 100, y * height / 100) for x, y in region["points"]]
        return Shape(labels[0], [[value for point in points for value in point]])
    x, y = region["x"] * width / 100, region["y"] * height / 100
    if "radiusX" in region:
        axes = region["radiusX"] * width / 100, region["radiusY"] * height / 100
        outline = ellipse(x, y, *axes)
    else:
        right = x + region["width"] * width / 100
        outline = rectangle(x, y, right, y + region["height"] * height / 100)
    return Shape(labels[0], [turned(outline, region.get("rotation") or 0, x, y)])


def _find(name: str, images: dict[str, list[Path]], path: Path) -> Path:
    """Find an image by its name, with or without what an upload puts before it."""
    base = PurePosixPath(name).name
    for candidate in (base, UPLOAD.sub("", base, count=1)):
        found = images.get(candidate) or images.get(plain_name(candidate), [])
        alike = [file for file in found if file.as_posix().endswith(name.lstrip("/"))] or found
        if len(alike) == 1:
            return alike[0]
        if alike:
            raise DataError(
                f"{path} is of the image {name}, but {alike[0]} and {alike[1]} have this name; "
                "keep one of them."
            )
    raise DataError(
        f"{path} is of the image {name}, which is not below {path.parent}; put it there."
    )


DATA_SET = DataSet(read, is_here, options=frozenset({"split_shares"}), names_classes=False)
