"""The checks of a data set as training reads it: with its reader, its options and its decoder.

`segloom data check` runs them over every file, `segloom train` over enough files to tell. What is a
problem for the one is a refusal of the other, but for a class without a pixel, of which training
only warns.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.data.class_masks import ClassMaskDecoder
from segloom.data.pixel_format import find_pixel_format
from segloom.data.planes import PlainDecoder
from segloom.data.readers import read_labelled_source
from segloom.data.sets.shapes import BACKGROUND
from segloom.data.source import DatasetSource
from segloom.data_check.finding import Finding
from segloom.data_check.leaks import find_leaks
from segloom.errors import DataError
from segloom.labels.decoder import LabelDecoder
from segloom.labels.space import LabelSpace, space_of
from segloom.labels.stored import StoredLabels, read_labels
from segloom.types import IGNORE_INDEX, LabelSet, Record

__all__ = ["check_before_training", "check_training"]

logger = logging.getLogger(__name__)

ENOUGH = 40
"""Label maps that a quick check reads where they show every class."""
PATIENCE_S = 2.0
"""After so long a quick check gives up on a class that it has not seen yet."""
MIXTURE = 3
"""So many values has a label map of two classes and void."""
FIXED = ("ade20k", "camvid", "cityscapes", "voc", "lits", "cub", "isic", "scenes")
"""Readers of benchmarks: nobody may change their files, and a part of one may lack a class."""


@dataclass
class _Seen:
    """What the label maps of training hold, as they are decoded."""

    num_all: int
    pixels: Counter[int] = field(default_factory=Counter)
    """Class id to pixels."""
    num_files: int = 0
    num_smeared: int = 0
    values: set[int] = field(default_factory=set)
    """Stored grey values, of files with few."""
    mixtures: set[frozenset[int]] = field(default_factory=set)
    """Stored grey values that occur in one file, of files with few."""
    shown: dict[int, set[tuple[int, ...]]] = field(default_factory=dict)
    """Palette index to its colours in the files that use it."""
    overlaps: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Pairs of classes whose masks overlap to pixels of both."""
    errors: list[str] = field(default_factory=list)

    @property
    def files(self) -> str:
        """The label maps that were looked at, in words."""
        looked = "" if self.num_files == self.num_all else f"{self.num_files} of "
        return f"{looked}{self.num_all} label maps of training"


def check_before_training(config: DataConfig) -> None:
    """Check quickly what a training will read, and log what a user should know.

    The same options are looked at once in a process.

    Raises:
        DataError: `segloom data check` would call what was found a problem.
        ConfigError: The options contradict one another.
    """
    _check_once(config.model_dump_json())


@lru_cache(maxsize=4)
def _check_once(options: str) -> None:
    config = DataConfig.model_validate_json(options)
    findings = check_training(config)
    for finding in findings:
        if finding.level == "problem" and finding.kind != "absent":
            raise DataError(f"{config.root or config.name}: {finding.message}")
    for finding in findings:
        logger.warning("warning: %s", finding.message)


def check_training(config: DataConfig, *, is_quick: bool = True) -> list[Finding]:
    """Check the label maps of training and how the splits lie to each other.

    Args:
        config: The options of the data, as training gets them.
        is_quick: Read evenly spread files until they tell enough; else all.

    Raises:
        DataError: The training set or its classes cannot be found at all.
        ConfigError: The options contradict one another.
    """
    source, labels, decoder = read_labelled_source(config, "train")
    findings = [*find_leaks(config, source), *_depth(config)]
    findings += [Finding("note", "reader", note) for note in source.notes]
    if not source.decode.is_sequential:  # volumes take too long to read twice
        seen = _look(source, labels, decoder, is_quick=is_quick)
        findings += _conclude(config, labels, decoder, seen)
    if config.name in FIXED:
        findings = [
            replace(one, level="note") if one.kind in ("leak", "absent") else one
            for one in findings
        ]
    return findings


def _depth(config: DataConfig) -> list[Finding]:
    """Describe which values of deep images become black and white."""
    pixels = find_pixel_format(config)
    if pixels is None:
        return []
    ranges = [f"{low:g} to {high:g}" for low, high in zip(pixels.low, pixels.high, strict=True)]
    shown = "; ".join(dict.fromkeys(ranges[:6])) + ("; ..." if ranges[6:] else "")
    message = (
        f"images have {len(ranges)} band{'s' * (len(ranges) > 1)}, of which {shown} become 0 to "
        "255 (data.value_range)."
    )
    return [Finding("note", "value-range", message)]


def _conclude(
    config: DataConfig, labels: LabelSet, decoder: LabelDecoder, seen: _Seen
) -> list[Finding]:
    if seen.errors:
        count = f"{len(seen.errors)} samples" if seen.errors[1:] else "a sample"
        message = f"{count} of training cannot be read: {seen.errors[0]}"
        return [Finding("problem", "unreadable", message, tuple(seen.errors))]
    findings = [*_classes(config, labels, seen), *_palettes(config, decoder, seen)]
    findings += _two_spellings(config, decoder, seen)
    if seen.overlaps:
        pairs = [f"{low} and {high} ({n:,} pixels)" for (low, high), n in seen.overlaps.items()]
        message = (
            f"masks of two classes overlap in the {seen.files}: {', '.join(pairs[:6])}; such a "
            "pixel is of the class that comes later in data.classes. data.mask_format: multilabel "
            "keeps both."
        )
        findings.append(Finding("note", "overlap", message))
    if seen.num_smeared:
        message = (
            f"{seen.num_smeared} of {seen.num_files} label maps hold values in between those of "
            "classes, as JPEG or interpolation leaves them; they are read by the nearest value."
        )
        findings.append(Finding("note", "nearest", message))
    return findings


def _look(
    source: DatasetSource, labels: LabelSet, decoder: LabelDecoder, *, is_quick: bool
) -> _Seen:
    seen, space, start = _Seen(len(source.records)), space_of(labels), time.monotonic()
    for record in _spread(source.records):
        missing = len(labels.classes) - len(seen.pixels)
        is_late = time.monotonic() - start > PATIENCE_S
        if is_quick and (seen.num_files >= ENOUGH or is_late) and (is_late or not missing):
            break
        try:
            _add(seen, record, source, decoder, space)
        except DataError as error:
            seen.errors.append(str(error))
            if is_quick:
                break
    return seen


def _spread(records: Sequence[Record]) -> list[Record]:
    """Order samples so that the first ones are spread over all."""
    step = max(1, len(records) // ENOUGH)
    return [record for start in range(step) for record in records[start::step]]


def _add(
    seen: _Seen, record: Record, source: DatasetSource, decoder: LabelDecoder, space: LabelSpace
) -> None:
    mask: NDArray[np.integer]
    if record.mask is not None and isinstance(source.decode, PlainDecoder):
        stored = read_labels(record.mask)
        mask = decoder.convert(stored, record.mask)
        seen.num_smeared += decoder.is_smeared(stored)
        _note_stored(seen, stored)
    else:
        mask = source.decode(record, decoder).mask
        if isinstance(source.decode, ClassMaskDecoder):
            seen.overlaps.update(source.decode.conflicts(record))
    seen.num_files += 1
    counts = space.count(mask).classes
    seen.pixels.update({int(place): int(counts[place]) for place in np.flatnonzero(counts)})


def _note_stored(seen: _Seen, stored: StoredLabels) -> None:
    if stored.kind == "color":
        return
    values = np.unique(stored.pixels)
    seen.values.update(values[:256].tolist())
    if len(values) <= MIXTURE:
        seen.mixtures.add(frozenset(values.tolist()))
    if stored.colors is not None:
        for value in values.tolist():
            seen.shown.setdefault(value, set()).add(tuple(stored.colors[value].tolist()))


def _classes(config: DataConfig, labels: LabelSet, seen: _Seen) -> list[Finding]:
    """Find classes without a pixel, and label maps of one class or of none."""
    names = labels.classes
    missing = [name for place, name in enumerate(names) if not seen.pixels[place]]
    if not missing:
        return []
    # A few of many files may well be empty; that is worth a word, but no refusal.
    level = "problem" if seen.num_files == seen.num_all else "note"
    if len(missing) == len(names):
        message = f"all pixels of the {seen.files} are void; check data.label_map and the files."
        return [Finding(level, "all-void", message)]
    if len(names) - len(missing) < space_of(labels).least_classes:
        only = next(name for name in names if name not in missing)
        message = f"every labelled pixel of the {seen.files} is '{only}'"
        if level == "problem":
            message = f"{message}, so there is nothing to learn; {_fix(labels, seen)}"
        return [Finding(level, "one-class", f"{message}.")]
    if config.name == "coco" and missing == [BACKGROUND] and not config.classes:
        message = f"objects cover every pixel of the {seen.files}, so none is {BACKGROUND}."
        return [Finding("note", "absent", message)]  # the reader adds this class, not the user
    return [_absent(missing, labels, seen)]


def _absent(missing: list[str], labels: LabelSet, seen: _Seen) -> Finding:
    verb = "has" if len(missing) == 1 else "have"
    shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if missing[8:] else "")
    message = f"{shown} {verb} not one pixel in the {seen.files}; {_fix(labels, seen)}."
    return Finding("problem", "absent", message)


def _fix(labels: LabelSet, seen: _Seen) -> str:
    if seen.values == {0, 255} and len(labels.classes) != 2:
        return (
            f"they hold 0 and 255, and 255 is void where {len(labels.classes)} classes are named; "
            "name two classes if 255 is an object, or export a class id for each class"
        )
    return "check data.classes, data.mask_format and the label maps"


def _two_spellings(config: DataConfig, decoder: LabelDecoder, seen: _Seen) -> list[Finding]:
    """Find an object that is 1 in some files and 255, which would be void, in others."""
    is_told = str(IGNORE_INDEX) in config.label_map
    if decoder.mask_format != "index" or is_told or seen.values != {0, 1, IGNORE_INDEX}:
        return []
    if any({1, IGNORE_INDEX} <= values for values in seen.mixtures):
        return []  # void beside an object, as it should be
    if not any({0, IGNORE_INDEX} <= values for values in seen.mixtures):
        return []  # label maps that are void throughout
    message = (
        f"some of the {seen.files} hold 0 and 1, others 0 and 255, and none both 1 and 255: 255 "
        "is void beside ids, so objects would be left out. Export all alike, or set "
        'data.label_map: {"0": 0, "1": 1, "255": 1}; if 255 is void, set data.label_map: '
        '{"0": 0, "1": 1, "255": 255}.'
    )
    return [Finding("problem", "two-spellings", message)]


def _palettes(config: DataConfig, decoder: LabelDecoder, seen: _Seen) -> list[Finding]:
    """Find palette indices that have another colour in another file."""
    clash = {index: colors for index, colors in seen.shown.items() if len(colors) > 1}
    if decoder.mask_format != "index" or not clash:
        return []
    index, colors = next(iter(sorted(clash.items())))
    message = (
        f"palette index {index} is {' and '.join(map(str, sorted(colors)))} in different label "
        "maps, so indices may mean different classes; if the colours count, set data.mask_format: "
        "color and data.palette, and if the indices do, data.mask_format: index."
    )
    level = "note" if config.mask_format == "index" else "problem"
    return [Finding(level, "palettes", message)]
