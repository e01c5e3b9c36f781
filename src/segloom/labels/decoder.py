"""Reading a label file of any usual kind into class ids, and finding out which kind it is.

The formats are those of `segloom.labels.storage`.

Files whose values were smeared, by lossy compression or by interpolation, are read by the nearest
of the stored values where these lie far enough apart (`segloom.labels.smear`), else refused.

The result is always uint8 ``(H, W)`` with class ids and 255 for void. What a file holds beyond the
declared classes is an error that names the file, the values and the option that settles them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError, DataError
from segloom.labels.smear import flat_pixels
from segloom.labels.storage import STORAGES, THRESHOLD, LabelFormat, LabelStorage
from segloom.labels.stored import StoredLabels, read_labels
from segloom.types import IGNORE_INDEX

__all__ = [
    "BRIGHT",
    "DARK",
    "THRESHOLD",
    "LabelDecoder",
    "LabelFormat",
    "detect_format",
    "make_decoder",
]

MANY_VALUES = 4
"""More different values than this may be those of two that were smeared."""
MANY_CODES = 100
"""A label map with more undeclared values than this holds no classes."""
DARK, BRIGHT = 16, 239
"""Up to and from here areas of a smeared black and white file go."""


@dataclass(frozen=True)
class LabelDecoder:
    """How the label files of one data set become class ids; make it with `make_decoder`."""

    mask_format: LabelFormat
    num_classes: int
    table: tuple[tuple[int, int], ...]
    """Pairs of stored value and class id; a colour is stored as ``red << 16 | green << 8 | blue``,
    binary files as 0 and 1."""
    is_complete: bool = False
    """Whether the table is the user's own label map, which lists every value."""
    unknown: int | None = None
    """Class id of a value outside the table; None refuses it."""
    mend: str = ""
    """What the refusal advises; empty names the options of a data set."""

    @property
    def storage(self) -> LabelStorage:
        """How the files hold classes."""
        return STORAGES[self.mask_format]

    @property
    def label_map(self) -> dict[str, int]:
        """Stored value, as the option `data.label_map` spells it, to class id."""
        return {self.storage.spell(code): class_id for code, class_id in self.table}

    @property
    def fingerprint(self) -> str:
        """Text that differs between decoders that may give different ids for one file."""
        facts: tuple[object, ...] = (2, self.mask_format, self.table)
        if self.unknown is not None:
            facts = (*facts, self.unknown)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def decode(self, path: Path) -> NDArray[np.uint8]:
        """Read the class ids ``(H, W)`` of a label file; void is 255.

        Raises:
            DataError: The file cannot be read, or holds a value that is no class.
        """
        return self.convert(read_labels(path), path)

    def convert(self, stored: StoredLabels, path: Path) -> NDArray[np.uint8]:
        """Turn stored values into class ids; ``path`` is only named in errors."""
        if stored.is_lossy and not self.storage.survives_loss and self.unknown is None:
            return self._read_lossy(stored, path)
        codes = self.storage.codes(stored, path)
        ids = self._look_up(codes)
        unknown = ids < 0
        if unknown.any():
            if self.unknown is None:
                if (nearest := self._read_nearest(stored)) is not None:
                    return nearest
                raise DataError(self._complain(np.unique(codes[unknown]), stored, path))
            ids[unknown] = self.unknown
        return ids.astype(np.uint8)

    def is_smeared(self, stored: StoredLabels) -> bool:
        """Return whether a file is read by nearest values rather than as it is stored."""
        known = self.storage.is_smeared(stored)
        if known is None:
            return bool((self._look_up(self.storage.codes(stored, Path())) < 0).any())
        return known

    def _look_up(self, codes: NDArray[np.integer]) -> NDArray[np.int16]:
        table = _lookup_table(self.table, self.storage.bits)
        if codes.dtype.kind == "u" or codes.min() >= 0:
            found: NDArray[np.int16] = table[codes]
            return found
        ids: NDArray[np.int16] = table[np.maximum(codes, 0)]
        ids[codes < 0] = -1
        for code, class_id in self.table:
            if code < 0:
                ids[codes == code] = class_id
        return ids

    def _read_lossy(self, stored: StoredLabels, path: Path) -> NDArray[np.uint8]:
        codes = self.storage.codes(stored, path)
        first = int(codes.flat[0])
        if (codes == first).all() and (alone := int(self._look_up(codes[:1, :1])[0, 0])) >= 0:
            return np.full(codes.shape, alone, np.uint8)
        nearest = self._read_nearest(stored)
        if nearest is None:
            unknown = np.unique(codes[self._look_up(codes) < 0])
            raise DataError(self._complain(unknown, stored, path))
        return nearest

    def _read_nearest(self, stored: StoredLabels) -> NDArray[np.uint8] | None:
        """Read a smeared file; None if it is none, or its values cannot be told apart."""
        listed = np.array(self.table, np.int64).reshape(-1, 2)
        codes, ids = listed[:, 0], listed[:, 1]
        places = self.storage.nearest(stored, codes)
        return None if places is None else ids.astype(np.uint8)[places]

    def _complain(self, codes: NDArray[np.integer], stored: StoredLabels, path: Path) -> str:
        names = [self.storage.spell(int(code)) for code in codes]
        shown = "; ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        what = self.storage.what
        start = f"label map {path} holds {what} outside the {self.num_classes} classes: {shown}."
        if stored.is_lossy:
            start = start if names else f"label map {path} cannot be read."
            return (
                f"{start} It is a JPEG or another lossy file, which changes labels, and the values "
                "of its classes lie too close to be told apart; export label maps as PNG."
            )
        if len(names) > MANY_CODES:
            return (
                f"{start} So many {what} are those of a picture or of numbered objects and no "
                "classes; check data.images and data.masks, or export class ids."
            )
        return f"{start} {self.mend or self._advise(codes, stored)}"

    def _advise(self, codes: NDArray[np.integer], stored: StoredLabels) -> str:
        """Name the options that make values void, or classes."""
        if self.mask_format == "color" or self.is_complete:
            names = (self.storage.spell(int(code)) for code in codes[:8])
            return f"Make them void with data.label_map: {_entries(names)}, or give class ids."
        known = {code for code, class_id in self.table if class_id == IGNORE_INDEX}
        voids = sorted(known - {IGNORE_INDEX}) + codes.tolist()
        fix = f"Make them void with data.ignore_values: {voids[:16]}"
        if stored.pixels.min() > 0 and codes.max() == self.num_classes:
            shift = ", ".join(f'"{i + 1}": {i}' for i in range(self.num_classes))
            fix += f"; or, if ids start at 1, shift them with data.label_map: {{{shift}}}"
        if stored.kind == "palette":
            fix += "; or, if the colours count and not the indices, set data.mask_format: color"
        return f"{fix}; or name the further classes in data.classes."


def _entries(names: Iterable[str]) -> str:
    return "{" + ", ".join(f'"{name}": {IGNORE_INDEX}' for name in names) + "}"


@lru_cache(maxsize=4)
def _lookup_table(table: tuple[tuple[int, int], ...], bits: int) -> NDArray[np.int16]:
    """Make the array from stored value to class id; -1 marks a value that is no label."""
    ids = np.full(1 << bits, -1, np.int16)
    for code, class_id in table:
        if code >= 0:  # no-data values of signed files are looked up one by one
            ids[code] = class_id
    return ids


def make_decoder(
    num_classes: int,
    mask_format: LabelFormat,
    *,
    palette: Sequence[tuple[int, int, int]] = (),
    label_map: Mapping[str, int] | None = None,
    ignore_values: Iterable[int] = (),
    unknown: int | None = None,
) -> LabelDecoder:
    """Make the decoder of a data set.

    Args:
        num_classes: How many classes there are.
        mask_format: How the files store them.
        palette: For ``color``, the colour of each class.
        label_map: Stored value to class id or 255. For ``index`` it lists every value, for
            ``color`` it adds to the palette, for ``binary`` it may name "0" and "255".
        ignore_values: Stored values that mean void besides 255; only for ``index``.
        unknown: Class id, or 255, of a value that is not listed; None refuses it.

    Raises:
        ConfigError: The options contradict the classes or the format.
    """
    storage, voids, listed = STORAGES[mask_format], tuple(ignore_values), label_map or {}
    storage.check(num_classes, voids)
    table = storage.usual(num_classes, palette, is_listed=bool(listed))
    for text, class_id in listed.items():
        if class_id >= num_classes and class_id != IGNORE_INDEX:
            raise ConfigError(
                f'data.label_map sends "{text}" to {class_id}, but the ids of the {num_classes} '
                f"classes end at {num_classes - 1}; {IGNORE_INDEX} is void."
            )
        table[storage.parse(text)] = class_id
    table = {**storage.always, **table, **dict.fromkeys(voids, IGNORE_INDEX)}
    if unknown is not None and unknown >= num_classes and unknown != IGNORE_INDEX:
        raise ConfigError(
            f"unknown values cannot become {unknown}: the ids of the {num_classes} classes end at "
            f"{num_classes - 1}; {IGNORE_INDEX} is void."
        )
    is_complete = storage.lists_all and bool(listed)
    pairs = tuple(sorted(table.items()))
    return LabelDecoder(mask_format, num_classes, pairs, is_complete, unknown)


def detect_format(paths: Sequence[Path], num_classes: int = 0) -> LabelFormat:
    """Find out how label files store classes by looking into some of them.

    Up to 16 files, evenly spread over ``paths``, are read; then, while these show a single value
    (nothing but black, or nothing but void, which every format may), one more at a time. The
    answer depends on ``paths`` alone.

    Args:
        paths: Label files of one data set, in a fixed order.
        num_classes: How many classes are declared; 0 if none are.

    Raises:
        DataError: A file cannot be read.
    """
    step = max(1, len(paths) // 16)
    first = paths[::step][:16]
    chosen = set(first)
    rest = [path for path in paths if path not in chosen]
    values: set[int] = set()
    areas: set[int] = set()
    may_be_two = num_classes in (0, 2)
    for number, path in enumerate([*first, *rest]):
        if number >= len(first) and len(values) > 1:
            break
        stored = read_labels(path)
        if stored.kind == "color":
            return "color"
        if may_be_two and stored.kind == "bit":
            return "binary"
        found = set(np.unique(stored.pixels).tolist())
        values |= found
        areas |= _area_values(stored, found)
    return _format_of_values(values, areas) if may_be_two else "index"


def _area_values(stored: StoredLabels, found: set[int]) -> set[int]:
    """Return the values inside areas: all that were found, unless the file may be smeared."""
    if stored.kind != "grey" or not (stored.is_lossy or len(found) > MANY_VALUES):
        return found
    flat = stored.pixels[flat_pixels(stored.pixels, is_lossy=stored.is_lossy)]
    return set(np.unique(flat).tolist())


def _format_of_values(values: set[int], areas: set[int]) -> LabelFormat:
    """Tell the ids of two classes from black and white.

    Args:
        values: All that were found.
        areas: Those of areas, without the outlines that smearing made.
    """
    if max(values, default=0) <= THRESHOLD:
        return "index"
    if values <= {0, 255, 65535}:
        return "binary" if len(values) > 1 else "index"
    # Smeared: areas are black or white, whatever stands at their outlines.
    is_smeared = len(values) > MANY_VALUES and any(value > THRESHOLD for value in areas)
    is_two = all(value <= DARK or value >= BRIGHT for value in areas - {65535})
    return "binary" if is_smeared and is_two else "index"
