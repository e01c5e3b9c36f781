"""Data sets given as lists: one text or CSV file per split, one sample per line.

Columns are image, label map and, if there is a third, edge map; a first line with column names may
give them in another order. Columns are divided by commas, semicolons or tabs, else by spaces; with
commas, semicolons and tabs a path may hold spaces, and quotes work as in CSV. Empty lines and lines
that begin with # do not count. Paths are relative to the list or to the root of the data set.

Lists know no classes, unless ``data.scheme dlse`` says that the label maps are those of Cityscapes
and their classes DLSE's, whose program reads such lists.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from segloom.config.data import DataConfig
from segloom.data.cityscapes_labels import dlse_map
from segloom.data.dlse_classes import DLSE_CLASSES, DLSE_NEUTRAL
from segloom.data.labels import LabelFormat
from segloom.data.source import DatasetSource, check_split, unique_ids
from segloom.errors import DataError
from segloom.types import Record

__all__ = ["read", "read_lines", "read_list"]

COLUMN_NAMES = {
    "image": ("image", "images", "img", "image_path", "image_file", "file", "filename", "path"),
    "mask": ("label", "labels", "mask", "masks", "label_path", "mask_path", "annotation", "target"),
    "edge": ("edge", "edges", "edge_path", "boundary"),
}
"""Names that a first line may use for a column, in lower case."""


class _Row(NamedTuple):
    line: int
    cells: list[str]


def read(config: DataConfig, split: str) -> DatasetSource:
    """Read a split from its list; see `DatasetSource`.

    Raises:
        DataError: The split has no list, or the list cannot be used.
    """
    check_split(split)
    if split not in config.lists:
        have = f"there are lists for {', '.join(sorted(config.lists))}" if config.lists else "none"
        raise DataError(
            f"no list for the split '{split}' ({have}); name its file with data.lists: "
            f"{{{split}: FILE}}, on the command line --data.lists {split} FILE."
        )
    records = read_list(config.lists[split].expanduser(), config.root)
    if config.scheme == "default":
        return DatasetSource(records)
    form: LabelFormat = "index" if config.mask_format == "index" else "color"
    return DatasetSource(
        records,
        DLSE_CLASSES,
        form,
        label_map=dlse_map(colors=form == "color"),
        unknown=DLSE_NEUTRAL,
    )


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text.

    Raises:
        DataError: It does not exist or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"the list {path} cannot be read ({error.strerror}).") from error


def read_list(path: Path, root: Path | None = None) -> tuple[Record, ...]:
    """Read the samples that a list names.

    Args:
        path: The list, UTF-8.
        root: Folder that relative paths start from if they do not start from the list's.

    Raises:
        DataError: The list does not exist, is no text, has a line without two or three columns,
            or names a file that does not exist.
    """
    rows = _split_columns(read_lines(path), path)
    order = _column_order(rows[0].cells) if rows else None
    if order is not None:
        rows = rows[1:]
    if not rows:
        raise DataError(f"the list {path} names no sample; give a line 'image,label' for each.")
    records = [_record(row, order or ("image", "mask", "edge"), path, root) for row in rows]
    repeated = [image for image, count in Counter(r.image for r in records).items() if count > 1]
    if repeated:
        raise DataError(
            f"the list {path} names the image {repeated[0]} twice; keep one line of it."
        )
    names = unique_ids([record.image.with_suffix("") for record in records])
    return tuple(
        Record(name, record.image, record.mask, record.edge)
        for name, record in zip(names, records, strict=True)
    )


def _split_columns(lines: list[str], path: Path) -> list[_Row]:
    kept = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not kept:
        return []
    divider = next((sign for sign in ",;\t" if sign in kept[0][1]), None)
    rows = []
    for number, line in kept:
        cells = next(csv.reader([line], delimiter=divider)) if divider else line.split()
        cells = [cell.strip() for cell in cells]
        while cells and not cells[-1]:
            cells.pop()
        if not 2 <= len(cells) <= 3 or not all(cells):
            raise DataError(
                f"{path}, line {number}: expected the columns image, label and perhaps edge, but "
                f"found {len(cells)}: {line.strip()[:120]}"
            )
        rows.append(_Row(number, cells))
    return rows


def _column_order(cells: list[str]) -> tuple[str, ...] | None:
    """Read the first line as column names; None if it is a sample."""
    order = []
    for cell in cells:
        names = [name for name, known in COLUMN_NAMES.items() if cell.lower() in known]
        if not names:
            return None
        order.append(names[0])
    return tuple(order) if len(set(order)) == len(order) else None


def _record(row: _Row, order: tuple[str, ...], path: Path, root: Path | None) -> Record:
    files = {
        name: _find(cell, row.line, path, root)
        for name, cell in zip(order, row.cells, strict=False)
    }
    if "image" not in files or "mask" not in files:
        raise DataError(f"{path}, line {row.line}: no column for the image or for the label map.")
    image = files["image"]
    return Record(image.stem, image, files["mask"], files.get("edge"))


def _find(name: str, line: int, path: Path, root: Path | None) -> Path:
    folders = [path.parent] if root is None else [path.parent, root.expanduser()]
    tried = [folder / name for folder in folders]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{path}, line {line}: there is no file {' nor '.join(map(str, dict.fromkeys(tried)))}; "
        "write paths relative to the list or to data.root."
    )
