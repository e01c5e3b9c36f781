"""Which images depend on one another: by what the reader knows, or by ``data.group_by``.

A pattern      a regular expression with parentheses, searched in the path of an image below the
               root: the first pair holds the group, a second one the number of the image in it
a CSV file     columns image, group and perhaps order; image is a name with or without its ending
fields         of the images of an annotation file, ``video_id`` or ``video_id,frame_id``; the
               reader looks at these itself (coco)
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from segloom.errors import ConfigError, DataError
from segloom.types import Place, Record

if TYPE_CHECKING:
    from segloom.config.data import DataConfig

__all__ = ["fields_of_groups", "place_of", "place_records"]


def place_records(
    config: DataConfig,
    records: Sequence[Record],
    by_name: Callable[[str], Place] | None,
) -> tuple[Record, ...]:
    """Give every record its place, unless its reader did.

    Args:
        config: With ``group_by``, which goes before what the reader knows.
        records: What was read.
        by_name: Tells the place by the name of a sample; None where the reader cannot.

    Raises:
        ConfigError: The pattern is none.
        DataError: An image does not match it, or is not in the CSV file.
    """
    if config.group_by and not fields_of_groups(config):
        places = [place_of(config, record.image) for record in records]
    elif by_name is not None:
        places = [record.place if record.group else by_name(record.id) for record in records]
    else:
        return tuple(records)
    return tuple(
        replace(record, group=place.group, order=place.order)
        for record, place in zip(records, places, strict=True)
    )


def fields_of_groups(config: DataConfig) -> tuple[str, ...]:
    """Return the names of the fields in an annotation file, if that is what ``group_by`` holds."""
    text = config.group_by
    if not text or "(" in text or text.lower().endswith(".csv"):
        return ()
    return tuple(part.strip() for part in text.split(","))


def place_of(config: DataConfig, image: Path) -> Place:
    """Return the place of an image by ``group_by``, a pattern or a CSV file.

    Raises:
        ConfigError: The pattern is none.
        DataError: It does not tell this image's.
    """
    path = image
    if config.root is not None and image.is_relative_to(config.root.expanduser()):
        path = image.relative_to(config.root.expanduser())
    if not config.group_by.lower().endswith(".csv"):
        return _by_pattern(config.group_by, path)
    table = _read_table(_table_file(config))
    for name in (path.as_posix(), path.with_suffix("").as_posix(), path.name, path.stem):
        if name in table:
            return table[name]
    raise DataError(
        f"image {image} is not in {config.group_by}; add a line 'image,group' for it, or set "
        "data.group_by."
    )


def _by_pattern(pattern: str, path: Path) -> Place:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"data.group_by {pattern} is no regular expression ({error}); fix it."
        ) from error
    found = expression.search(path.as_posix())
    parts = found.groups() if found else ()
    if not parts or not parts[0]:
        raise DataError(
            f"image {path} does not match data.group_by {pattern}; its first parentheses must hold "
            "the group of every image."
        )
    order = parts[1] if len(parts) > 1 else None
    return Place(parts[0], None if order is None else _number(order, f"data.group_by {pattern}"))


def _number(text: str, where: str) -> int:
    if not text.strip().isdecimal():
        raise DataError(f"{where}: the order of an image is a whole number, not '{text}'.")
    return int(text)


def _table_file(config: DataConfig) -> Path:
    path = Path(config.group_by).expanduser()
    if not path.is_file() and config.root is not None:
        path = config.root.expanduser() / config.group_by
    return path


@lru_cache(maxsize=4)
def _read_table(path: Path) -> dict[str, Place]:
    """Read image to place."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); fix data.group_by.") from error
    if not rows or not {"image", "group"} <= set(rows[0]):
        raise DataError(f"{path} needs a first line 'image,group' or 'image,group,order'.")
    found: dict[str, Place] = {}
    for line, row in enumerate(rows, 2):
        if not row["image"] or not row["group"]:
            raise DataError(f"{path}, line {line}: image and group must both be given.")
        order = row.get("order") or None
        place = Place(row["group"], None if order is None else _number(order, f"{path}, {line}"))
        found[PurePosixPath(row["image"]).as_posix()] = place
    return found
