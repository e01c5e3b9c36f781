"""Writing a data set as lists of image, label map and edge map, matched by name.

The programs of DLSE and many others read such lists; `segloom.data.lists` reads them too.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.companions import files_by_name
from segloom.data.readers import read_source
from segloom.data.source import SPLITS
from segloom.errors import DataError, NoSplitError
from segloom.files import write_text

__all__ = ["write_lists"]


def write_lists(config: DataConfig, out: Path, edges: Path | None = None) -> dict[str, int]:
    """Write ``train.csv``, ``val.csv`` and ``test.csv`` of a data set.

    Args:
        config: The data set.
        out: Folder of the lists; a split that the data set does not have gets none.
        edges: Folder of edge maps, searched to the bottom. One belongs to the sample whose name it
            has, or whose name is what stands before a further "_" in its own.

    Returns:
        Samples by split.

    Raises:
        DataError: The data set cannot be read, has masks per class, or a sample has no edge map or
            several.
    """
    by_name = None if edges is None else files_by_name(edges, "edge map")
    counts = {}
    for split in SPLITS:
        try:
            records = read_source(config, split).records
        except NoSplitError:
            continue
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", "label"] if by_name is None else ["image", "label", "edge"])
        if any(record.class_masks for record in records):
            raise DataError(
                "lists have one label map per image, but this data set has one per class "
                "(data.mask_format multilabel); read it as a folder."
            )
        for record in records:
            cells = [record.image, record.mask]
            if by_name is not None:
                found = by_name.get(record.id, [])
                if len(found) != 1:
                    raise DataError(
                        f"image {record.image} has {len(found)} edge maps below {edges}; it needs "
                        f"one, such as {record.id}.png."
                    )
                cells += found
            writer.writerow([path.absolute() for path in cells if path is not None])
        write_text(out / f"{split}.csv", text.getvalue())
        counts[split] = len(records)
    return counts
