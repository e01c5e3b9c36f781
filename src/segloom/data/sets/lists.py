"""Data sets given as lists: one text or CSV file per split, one sample per line.

Columns are image, label map and, if there is a third, edge map; a first line with column names may
give them in another order and among others, which do not count. Columns are divided by tabs,
semicolons or commas, else by spaces; quotes work as in CSV. Empty lines and lines that begin with #
do not count. Paths are relative to the list or to the root of the data set; backslashes and other
capitals are read as Windows does.

Lists know no classes, unless ``data.scheme dlse`` says that the label maps are those of Cityscapes
and their classes DLSE's, whose program reads such lists.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from segloom.config.data import DataConfig
from segloom.data.locate import locate
from segloom.data.sets.base import DataSet
from segloom.data.sets.cityscapes_labels import dlse_map
from segloom.data.sets.dlse_classes import DLSE_CLASSES, DLSE_NEUTRAL
from segloom.data.source import DatasetSource, check_split, unique_ids
from segloom.errors import DataError
from segloom.labels.decoder import LabelFormat
from segloom.types import Record

__all__ = ["DATA_SET", "read", "read_lines", "read_list"]

COLUMN_NAMES = {
    "image": (
        *("image", "images", "img", "file", "filename", "path", "photo", "input", "x"),
        *("image_path", "image_file", "image_name", "img_path", "file_name", "file_path"),
    ),
    "mask": (
        *("label", "labels", "mask", "masks", "annotation", "target", "gt", "segmentation", "y"),
        *("label_path", "mask_path", "label_file", "mask_file", "mask_name", "annotation_path"),
        *("ground_truth", "gt_path", "seg", "seg_path", "label_map"),
    ),
    "edge": ("edge", "edges", "edge_path", "boundary"),
}
"""Names that a first line may use for a column, in lower case."""


class _Row(NamedTuple):
    line: int
    cells: list[str]
    divider: str


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
    """Read the lines of a text in UTF-8, or in UTF-16 if it begins with that byte order mark.

    Raises:
        DataError: It does not exist or is no such text.
    """
    try:
        content = path.read_bytes()
        is_wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return content.decode("utf-16" if is_wide else "utf-8-sig").splitlines()
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
    folders = [path.parent] if root is None else [path.parent, root.expanduser()]
    rows = _split_columns(read_lines(path))
    order = _column_order(rows[0].cells) if rows else None
    if order is not None:
        rows = rows[1:]
    if not rows:
        raise DataError(f"the list {path} names no sample; give a line 'image,label' for each.")
    records = [_record(row, order, path, folders) for row in rows]
    counts = Counter(record.image for record in records)
    if repeated := next((image for image, count in counts.items() if count > 1), None):
        raise DataError(f"the list {path} names the image {repeated} twice; keep one line of it.")
    names = unique_ids([record.image.with_suffix("") for record in records])
    return tuple(
        Record(name, record.image, record.mask, record.edge)
        for name, record in zip(names, records, strict=True)
    )


def _split_columns(lines: list[str]) -> list[_Row]:
    kept = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not kept:
        return []
    divider = next((sign for sign in "\t;," if sign in kept[0][1]), " ")
    return [_Row(number, _cells(line, divider), divider) for number, line in kept]


def _cells(line: str, divider: str) -> list[str]:
    """Divide a line; empty cells at its end are left out."""
    text = line.strip(" ") if divider == "\t" else line.strip()
    cells = next(csv.reader([text], delimiter=divider, skipinitialspace=True))
    cells = [cell.strip() for cell in cells]
    if divider == " ":
        cells = list(filter(None, cells))
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _column_order(cells: list[str]) -> tuple[str, ...] | None:
    """Read the first line as column names, "" for a further column; None if it is a sample."""
    order = []
    for cell in cells:
        name = cell.lower().replace(" ", "_").replace("-", "_")
        order.append(next((key for key, known in COLUMN_NAMES.items() if name in known), ""))
    named = [name for name in order if name]
    is_header = {"image", "mask"} <= set(named) or all(order)
    return tuple(order) if is_header and len(set(named)) == len(named) else None


def _record(
    row: _Row, order: tuple[str, ...] | None, path: Path, folders: Sequence[Path]
) -> Record:
    columns = order or ("image", "mask", "edge")
    cells = row.cells
    if row.divider == " " and len(cells) > len(columns):
        cells = _with_spaces(cells, folders) or cells
    named = {name: cell for name, cell in zip(columns, cells, strict=False) if name and cell}
    _check_columns(row, cells, named, path, is_named=order is not None)
    files = {name: _find(cell, row.line, path, folders) for name, cell in named.items()}
    image = files["image"]
    return Record(image.stem, image, files["mask"], files.get("edge"))


def _check_columns(
    row: _Row, cells: list[str], named: Mapping[str, str], path: Path, *, is_named: bool
) -> None:
    if not is_named and (not 2 <= len(cells) <= 3 or not all(cells)):
        raise DataError(
            f"{path}, line {row.line}: expected the columns image, label and perhaps edge, but "
            f"found {len(cells)}: {' '.join(cells)[:120]}; name the columns in the first line if "
            "there are others."
        )
    if not {"image", "mask"} <= named.keys():
        raise DataError(f"{path}, line {row.line}: no column for the image or for the label map.")


def _with_spaces(words: list[str], folders: Sequence[Path]) -> list[str] | None:
    """Find the one place where words divide into two files whose names hold spaces."""
    halves = [[" ".join(words[:end]), " ".join(words[end:])] for end in range(1, len(words))]
    found = [half for half in halves if all(locate(name, folders) for name in half)]
    return found[0] if len(found) == 1 else None


def _find(name: str, line: int, path: Path, folders: Sequence[Path]) -> Path:
    if (found := locate(name, folders)) is not None:
        return found
    tried = " nor ".join(str(folder / name) for folder in dict.fromkeys(folders))
    raise DataError(
        f"{path}, line {line}: there is no file {tried}; write paths relative to the list or to "
        "data.root."
    )


DATA_SET = DataSet(
    read, options=frozenset({"bands", "lists", "scheme"}), needs_root=False, names_classes=False
)
