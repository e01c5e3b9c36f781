"""Data sets that a reader of their own reads: recognising them, and reading them through it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np

from segloom.config.data import DataConfig
from segloom.data.check.conclude import Finding
from segloom.data.check.contents import Contents, ValueCount
from segloom.data.labels import LabelDecoder
from segloom.data.planes import SampleDecoder
from segloom.data.readers import read_labelled_source
from segloom.data.source import SPLITS
from segloom.errors import DataError, NoSplitError
from segloom.types import Record

__all__ = ["Known", "find_known", "read_known"]

KNOWN = {
    "ade20k": "segloom.data.ade20k",
    "cityscapes": "segloom.data.cityscapes",
    "coco": "segloom.data.coco",
    "cub": "segloom.data.cub",
    "isic": "segloom.data.isic",
    "lits": "segloom.data.lits",
    "voc": "segloom.data.voc",
}
"""Reader to its module, whose ``is_here(root) -> bool`` recognises the data set."""


@dataclass
class Known:
    """What a reader gives."""

    contents: Contents = field(default_factory=Contents)
    """Label values here are class ids."""
    splits: dict[str, int] = field(default_factory=dict)
    """Split to its number of samples."""
    classes: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)


def find_known(directory: Path) -> str | None:
    """Name the reader whose data set lies in a folder; None if it is none that we know."""
    for name, module in KNOWN.items():
        is_here: Callable[[Path], bool] = import_module(module).is_here
        if is_here(directory):
            return name
    return None


def read_known(
    name: str,
    directory: Path,
    limit: int | None,
    progress: Callable[[int, int], None] | None,
) -> Known:
    """Read the samples of all splits, never stopping at one that cannot be read.

    Args:
        name: Reader.
        directory: Folder of the data set.
        limit: Read at most this many samples, evenly spread; None reads all.
        progress: Called with the number of samples read and the number to read.
    """
    known = Known()
    note = f"this is a data set that the reader {name} knows; its lines are below."
    known.findings.append(Finding("note", name, note))
    samples: list[tuple[str, Record, LabelDecoder, SampleDecoder]] = []
    for split in SPLITS:
        try:
            source, labels, decoder = read_labelled_source(
                DataConfig(name=name, root=directory), split
            )
        except NoSplitError as error:
            known.findings.append(Finding("note", "no-split", str(error)))
            continue
        except DataError as error:
            known.findings.append(Finding("problem", "unreadable", f"{split}: {error}"))
            continue
        known.splits[split], known.classes = len(source.records), labels.classes
        samples += [(split, record, decoder, source.decode) for record in source.records]
    step = max(1, -(-len(samples) // limit)) if limit else 1
    chosen = samples[::step]
    for number, (split, record, decoder, decode) in enumerate(chosen, 1):
        _read(known.contents, split, record, decode, decoder)
        if progress:
            progress(number, len(chosen))
    return known


def _read(
    contents: Contents, split: str, record: Record, decode: SampleDecoder, decoder: LabelDecoder
) -> None:
    try:
        planes = decode(record, decoder)
        digest = hashlib.sha256(planes.image.tobytes()).hexdigest()
    except DataError as error:
        contents.damaged.append(str(error))
        return
    contents.num_read += 1
    contents.sizes[planes.mask.shape] += 1
    if not record.case:  # slices of air are all alike
        contents.hashes.setdefault(digest, []).append((split, record.image))
    values, counts = np.unique(planes.mask, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        entry = contents.values.setdefault(value, ValueCount())
        entry.pixels += count
        entry.files += 1
