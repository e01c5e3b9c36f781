"""Data sets that a reader of their own reads: recognising them, and reading them through it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.data.planes import SampleDecoder
from segloom.data.readers import find_data_set, read_labelled_source, reader_names
from segloom.data.sets.shapes import BACKGROUND, visible
from segloom.data.source import SPLITS, check_same_classes
from segloom.data_check.contents import Contents, ValueCount, spread
from segloom.data_check.finding import Finding
from segloom.errors import ConfigError, DataError, NoSplitError, UnknownNameError
from segloom.images.read import IMAGE_ENDINGS
from segloom.labels.decoder import LabelDecoder
from segloom.labels.space import Exclusive, LabelSpace, space_of
from segloom.types import IGNORE_INDEX, Record

__all__ = ["Known", "find_known", "places_in", "read_known", "simpler"]


@dataclass
class Known:
    """What a reader gives."""

    contents: Contents = field(default_factory=Contents)
    """Label values here are class ids."""
    splits: dict[str, int] = field(default_factory=dict)
    """Split to its number of samples."""
    classes: tuple[str, ...] = ()
    space: LabelSpace = field(default_factory=partial(Exclusive, 1))
    """What the label maps mean."""
    is_outlined: bool = False
    """Whether objects have outlines, and the background is what they leave."""
    has_overlap: bool = False
    """Whether a pixel is of two of them."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def could_be_plain(self) -> bool:
        """Whether classes may overlap and no pixel is of two."""
        return self.space.overlaps and not self.has_overlap


def find_known(directory: Path, classes: Sequence[str] = ()) -> DataConfig | None:
    """Return the options that read the data set in a folder; None if it is none that we know.

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


OUTLINE_ENDINGS = (".json", ".xml", ".txt")
"""Of the files that hold outlines of objects."""
NOTES = {
    "multilabel": "the masks lie in a folder per class, so classes may overlap",
    "mask_files": "images have several masks each, of classes or objects",
}
"""What is said of a format of label maps or, failing that, of a reader."""


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
    found = NOTES.get(config.mask_format) or NOTES.get(config.name)
    note = found or f"this is a data set that the reader {config.name} knows"
    known.findings.append(Finding("note", config.name, f"{note}; its lines are below."))
    chosen = spread(_read_splits(known, config), limit)
    for number, (split, record, decoder, decode) in enumerate(chosen, 1):
        _read(known, split, record, decode, decoder)
        if progress:
            progress(number, len(chosen))
    return known


def _read_splits(
    known: Known, config: DataConfig
) -> list[tuple[str, Record, LabelDecoder, SampleDecoder]]:
    """List the samples of all splits, and note splits, classes and what is wrong with them."""
    samples: list[tuple[str, Record, LabelDecoder, SampleDecoder]] = []
    classes: dict[str, tuple[str, ...]] = {}
    for split in SPLITS:
        try:
            source, labels, decoder = read_labelled_source(config, split)
        except NoSplitError as error:
            known.findings.append(Finding("note", "no-split", str(error)))
            continue
        except (DataError, ConfigError, UnknownNameError) as error:
            known.findings.append(Finding("problem", "unreadable", f"{split}: {error}"))
            continue
        known.splits[split], classes[split] = len(source.records), labels.classes
        known.space = space_of(labels)
        notes = [Finding("note", "reader", note) for note in source.notes]
        known.findings += [note for note in notes if note not in known.findings]
        samples += [(split, record, decoder, source.decode) for record in source.records]
    if classes:
        known.classes = next(iter(classes.values()))
        try:
            check_same_classes(classes)
        except DataError as error:
            known.findings.append(Finding("problem", "classes", str(error)))
    known.is_outlined = bool(samples) and all(_is_outlined(one) for _, one, _, _ in samples)
    known.findings += _left_out(config, [record for _, record, _, _ in samples])
    return samples


def _left_out(config: DataConfig, records: Sequence[Record]) -> list[Finding]:
    """Name the images of a folder of outlines of which no file says anything."""
    root = config.root
    if root is None or not records or not all(map(_is_outlined, records)):
        return []
    used = {os.path.realpath(record.image) for record in records}  # annotations may say ../images
    images = (p for p in visible(root.rglob("*"), root) if os.path.realpath(p) not in used)
    left = [path for path in images if path.suffix.lower() in IMAGE_ENDINGS and path.is_file()]
    if not left:
        return []
    message = (
        f"{len(left)} images have no outlines and are left out, such as {left[0]}; if nothing is "
        f"to be seen in them, save them so with {config.name}."
    )
    return [Finding("note", "left-out", message, tuple(map(str, left)))]


def _is_outlined(record: Record) -> bool:
    return record.mask is not None and record.mask.suffix.lower() in OUTLINE_ENDINGS


def simpler(config: DataConfig, known: Known) -> DataConfig | None:
    """Return other options that say more plainly what a reader gave; None if there are none.

    Masks of several classes that never overlap have one class per pixel, and where they cover
    every pixel there is no background.

    Args:
        config: What was read.
        known: What it gave.
    """
    if not known.contents.num_read:
        return None
    if known.could_be_plain:
        return config.model_copy(update={"name": "mask_files", "mask_format": "auto"})
    covers = known.classes[0] == BACKGROUND and 0 not in known.contents.values
    names_background = config.name == "mask_files" or known.is_outlined
    if covers and names_background and known.classes[2:] and config.name != "coco":
        return config.model_copy(update={"classes": known.classes[1:]})
    return None


def places_in(config: DataConfig) -> dict[str, str]:
    """Return the options that say where the files lie, if they are not the usual ones."""
    plain = DataConfig()
    names = ("images", "masks", "image_ending", "mask_ending")
    found = {name: str(getattr(config, name)) for name in names}
    return {name: value for name, value in found.items() if value != getattr(plain, name)}


def _read(
    known: Known, split: str, record: Record, decode: SampleDecoder, decoder: LabelDecoder
) -> None:
    contents = known.contents
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
    known.has_overlap = known.has_overlap or known.space.mixes(planes.mask)
    counts = known.space.count(planes.mask)
    for value, count in [*enumerate(counts.classes.tolist()), (IGNORE_INDEX, counts.void)]:
        if not count:
            continue
        entry = contents.values.setdefault(value, ValueCount())
        entry.pixels += count
        entry.files += 1
