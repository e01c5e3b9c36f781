"""What a reader returns, and how the options of the user and the reader's facts become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segloom.data.planes import PlainDecoder, SampleDecoder
from segloom.errors import ConfigError, DataError
from segloom.labels.decoder import LabelDecoder, LabelFormat, detect_format, make_decoder
from segloom.labels.palette import class_palette
from segloom.labels.storage import STORAGES
from segloom.labels.stored import StoredLabels, read_labels
from segloom.types import LabelSet, Record, Region

if TYPE_CHECKING:
    from segloom.config.data import DataConfig

__all__ = [
    "SPLITS",
    "DatasetSource",
    "check_same_classes",
    "check_split",
    "data_root",
    "settle_labels",
    "unique_ids",
]

SPLITS = ("train", "val", "test")
MAX_COLORS = 256
"""A label map with more colours than this is a picture."""


@dataclass(frozen=True)
class DatasetSource:
    """The files of one split and what is known of their labels.

    A reader is a function ``read(config: DataConfig, split: str) -> DatasetSource``. What the
    user's options say about labels goes before what the reader says.
    """

    records: tuple[Record, ...]
    labels: LabelSet | None = None
    """None: the user's options must name the classes (binary label maps name themselves)."""
    mask_format: LabelFormat | None = None
    """None: found out by looking into the files."""
    label_map: Mapping[str, int] = field(default_factory=dict)
    ignore_values: tuple[int, ...] = ()
    unknown: int | None = None
    """Class id of a stored value that is not listed; None refuses such a file."""
    regions: tuple[Region, ...] = ()
    """What an evaluation scores besides the classes, such as liver with its tumours."""
    decode: SampleDecoder = field(default_factory=PlainDecoder)
    """How a sample is read from its files."""
    extra: tuple[Record, ...] = ()
    """Samples that only class-uniform sampling draws; they do not count as the split's."""
    notes: tuple[str, ...] = ()
    """What the reader decided that a user should know, each a sentence."""


def check_split(split: str) -> None:
    """Refuse a split that is not train, val or test.

    Raises:
        DataError: It is something else.
    """
    if split not in SPLITS:
        raise DataError(f"unknown split '{split}'; the splits are {', '.join(SPLITS)}.")


def check_same_classes(classes: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse splits whose classes are not those of the first one, id by id.

    Args:
        classes: Split to the names of its classes.

    Raises:
        DataError: They differ.
    """
    (first, known), *others = classes.items()
    for split, found in others:
        for class_id, (one, other) in enumerate(zip_longest(known, found)):
            if one != other:
                raise DataError(
                    f"class {class_id} is {_quoted(one)} in {first}, but {_quoted(other)} in "
                    f"{split}; give both splits the same classes in the same order, or name those "
                    "of all with data.classes."
                )


def _quoted(name: str | None) -> str:
    return "not there" if name is None else f"'{name}'"


def data_root(config: DataConfig) -> Path:
    """Return the folder of the data set.

    Raises:
        DataError: None is set, or it is no folder.
    """
    if config.root is None:
        raise DataError(
            f"the data set '{config.name}' needs a folder; give it with --data.root DIR."
        )
    root = config.root.expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the data set's with --data.root DIR.")
    return root


def unique_ids(keys: list[Path]) -> list[str]:
    """Name samples by the stem of their file; by their whole path where stems repeat.

    Args:
        keys: Paths without ending, each another one.

    Returns:
        Names in the same order, each once and without a folder separator.
    """
    stems = [key.name for key in keys]
    if len(set(stems)) == len(stems):
        return stems
    names = ["__".join(part for part in key.parts if part not in ("/", "..")) for key in keys]
    if len(set(names)) == len(names):
        return names
    return [f"{number:06}_{name}" for number, name in enumerate(names)]


def settle_labels(
    config: DataConfig, source: DatasetSource, evidence: DatasetSource
) -> tuple[LabelSet, LabelDecoder]:
    """Settle classes, colours and storage of the labels of a data set.

    Args:
        config: The user's options.
        source: What the reader says about the split in question.
        evidence: The split whose label files are looked at where nothing else tells their format;
            the same for all splits, so that all are read alike.

    Raises:
        DataError: The classes are not known, or a file cannot be read.
        ConfigError: The options contradict one another.
    """
    if source.labels is not None and source.labels.is_multilabel:
        return source.labels, make_decoder(2, "binary")  # such a reader has settled everything
    source = _without_other_classes(source, config.classes)
    known, colors = (source.labels.classes, source.labels.palette) if source.labels else ((), ())
    masks = [record.mask for record in evidence.records if record.mask is not None]
    mask_format = _mask_format(config, source, masks, len(config.classes or known))
    classes = config.classes or known or STORAGES[mask_format].classes
    if not classes:
        raise DataError(_ask_for_classes(masks))
    if config.label_map:  # it lists every value, those that mean void too
        source = replace(source, label_map=config.label_map, ignore_values=(), unknown=None)
    palette = config.palette or colors
    if mask_format == "color":
        _check_colors(masks, palette, source.label_map)
    decoder = make_decoder(
        len(classes),
        mask_format,
        palette=palette if mask_format == "color" else (),
        label_map=source.label_map,
        ignore_values=(*source.ignore_values, *config.ignore_values),
        unknown=source.unknown,
    )
    return LabelSet(classes, palette or _palette(classes, source.label_map)), decoder


def _without_other_classes(source: DatasetSource, classes: tuple[str, ...]) -> DatasetSource:
    """Drop a reader's meaning of the stored values if the user gives them another one."""
    if source.labels is None or classes in ((), source.labels.classes):
        return source
    return replace(source, labels=None, label_map={}, ignore_values=(), unknown=None)


def _check_colors(
    masks: list[Path], palette: Sequence[tuple[int, int, int]], label_map: Mapping[str, int]
) -> None:
    """Refuse colours of which no option says what they mean."""
    if not palette and not label_map:
        _refuse_pictures(masks)
        raise ConfigError(
            "label maps hold colours, but no option says which class has which; give data.palette "
            "one colour per class, or data.label_map a class id per colour."
        )


def _refuse_pictures(masks: list[Path]) -> None:
    """Say so if the first label map in colour is a photograph, as when folders are swapped."""
    for path in masks[:8]:
        stored = read_labels(path)
        if stored.kind == "color" and not stored.is_lossy:
            number = len(np.unique(stored.pixels.reshape(-1, 3), axis=0))
            if number > MAX_COLORS:
                raise DataError(
                    f"label map {path} has {number:,} colours, as photographs have; check that "
                    "data.images and data.masks are not swapped."
                )


def _palette(
    classes: Sequence[str], label_map: Mapping[str, int]
) -> tuple[tuple[int, int, int], ...]:
    """Show a class in the first colour that the label map gives it, else in one of ours."""
    palette = list(class_palette(classes))
    for stored, class_id in reversed(list(label_map.items())):
        if "," in stored and class_id < len(classes):
            red, green, blue = (int(part) for part in stored.split(","))
            palette[class_id] = (red, green, blue)
    return tuple(palette)


def _mask_format(
    config: DataConfig, source: DatasetSource, masks: list[Path], num_classes: int
) -> LabelFormat:
    for mask_format in STORAGES:
        if config.mask_format == mask_format:
            return mask_format
    if source.mask_format is not None:
        return source.mask_format
    return detect_format(masks, num_classes)


def _ask_for_classes(masks: list[Path]) -> str:
    """Describe what the first label files hold, as far as it helps to name the classes."""
    found: set[str] = set()
    for path in masks[:8]:
        found.update(_values(read_labels(path)))
    shown = sorted(found, key=lambda value: (len(value.split(",")), value.zfill(5)))[:24]
    return (
        f"the classes are not named; give data.classes in the order of their ids. The first label "
        f"maps ({masks[0]}, ...) hold: {'; '.join(shown)}."
    )


def _values(stored: StoredLabels) -> list[str]:
    if stored.kind == "color":
        colors = np.unique(stored.pixels.reshape(-1, 3), axis=0)
        return [",".join(map(str, color)) for color in colors[:64].tolist()]
    return [str(value) for value in np.unique(stored.pixels)[:256].tolist()]
