"""Data sets that a reader of their own reads: recognising them, and reading them through it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.check.contents import Contents, ValueCount
from segloom.data.check.finding import Finding
from segloom.data.planes import SampleDecoder
from segloom.data.readers import find_data_set, read_labelled_source, reader_names
from segloom.data.source import SPLITS, check_same_classes
from segloom.errors import DataError, NoSplitError
from segloom.labels.decoder import LabelDecoder
from segloom.labels.space import Overlapping
from segloom.types import IGNORE_INDEX, Record

__all__ = ["Known", "find_known", "read_known"]


@dataclass
class Known:
    """What a reader gives."""

    contents: Contents = field(default_factory=Contents)
    """Label values here are class ids."""
    splits: dict[str, int] = field(default_factory=dict)
    """Split to its number of samples."""
    classes: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)


def find_known(directory: Path, classes: Sequence[str] = ()) -> DataConfig | None:
    """Give the options that read the data set in a folder; None if it is none that we know.

    Args:
        directory: The folder.
        classes: Names of the classes, if the user gives them; a reader that names its own is then
            not looked for.
    """
    data_sets = {name: find_data_set(name) for name in reader_names()}
    # Folders of the user's own come first: what they hold is seen without a name of anything.
    for name in sorted(data_sets, key=lambda name: (data_sets[name].names_classes, name)):
        found = data_sets[name]
        if found.is_here is None or (classes and found.names_classes):
            continue
        if found.is_here(directory):
            values = {"classes": tuple(classes), **found.recognised}
            return DataConfig.model_validate({"name": name, "root": directory, **values})
    return None


def read_known(
    config: DataConfig,
    limit: int | None,
    progress: Callable[[int, int], None] | None,
) -> Known:
    """Read the samples of all splits, never stopping at one that cannot be read.

    Args:
        config: Reader and folder.
        limit: Read at most this many samples, evenly spread; None reads all.
        progress: Called with the number of samples read and the number to read.
    """
    known = Known()
    note = f"this is a data set that the reader {config.name} knows; its lines are below."
    if config.mask_format == "multilabel":
        note = "the masks lie in a folder per class, so classes may overlap; its lines are below."
    known.findings.append(Finding("note", config.name, note))
    samples: list[tuple[str, Record, LabelDecoder, SampleDecoder]] = []
    classes: dict[str, tuple[str, ...]] = {}
    for split in SPLITS:
        try:
            source, labels, decoder = read_labelled_source(config, split)
        except NoSplitError as error:
            known.findings.append(Finding("note", "no-split", str(error)))
            continue
        except DataError as error:
            known.findings.append(Finding("problem", "unreadable", f"{split}: {error}"))
            continue
        known.splits[split], classes[split] = len(source.records), labels.classes
        samples += [(split, record, decoder, source.decode) for record in source.records]
    if classes:
        known.classes = next(iter(classes.values()))
        try:
            check_same_classes(classes)
        except DataError as error:
            known.findings.append(Finding("problem", "classes", str(error)))
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
    for value, count in _count(planes.mask, len(record.class_masks)):
        entry = contents.values.setdefault(value, ValueCount())
        entry.pixels += count
        entry.files += 1


def _count(labels: NDArray[Any], num_overlapping: int) -> list[tuple[int, int]]:
    """Pair every class id in a label map, and 255 for void, with its pixels.

    Args:
        labels: ``(H, W)``.
        num_overlapping: Classes of a map of bits; 0 for one of class ids.
    """
    if num_overlapping:
        found = Overlapping(num_overlapping).count(labels)
        counts = [*enumerate(found.classes.tolist()), (IGNORE_INDEX, found.void)]
        return [(value, count) for value, count in counts if count]
    values, pixels = np.unique(labels, return_counts=True)
    return list(zip(values.tolist(), pixels.tolist(), strict=True))
