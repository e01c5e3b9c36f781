"""Reading a label file of any usual kind into class ids, and finding out which kind it is.

index   each pixel (grey, 16-bit grey, or palette index) holds a class id
color   each pixel holds the RGB colour of its class
binary  grey above 127 is class 1, else class 0; also 1-bit files, also JPEG

The result is always uint8 ``(H, W)`` with class ids and 255 for void. What a file holds beyond the
declared classes is an error that names the file, the values and the option that settles them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segloom.data.label_files import StoredLabels, read_labels
from segloom.errors import ConfigError, DataError
from segloom.types import IGNORE_INDEX

__all__ = [
    "LabelDecoder",
    "LabelFormat",
    "detect_format",
    "make_decoder",
]

LabelFormat = Literal["index", "color", "binary"]

THRESHOLD = 127
"""Grey values above it are foreground in a binary label map; JPEG smears 0 and 255."""


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
    def label_map(self) -> dict[str, int]:
        """Stored value, as the option `data.label_map` spells it, to class id."""
        return {_spell(code, self.mask_format): class_id for code, class_id in self.table}

    @property
    def fingerprint(self) -> str:
        """Text that differs between decoders that may give different ids for one file."""
        facts: tuple[object, ...] = (1, self.mask_format, self.table)
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
        codes = self._codes(stored, path)
        table = _lookup_table(self.table, 24 if self.mask_format == "color" else 16)
        ids: NDArray[np.int16] = table[codes]
        unknown = ids < 0
        if unknown.any():
            if self.unknown is None:
                raise DataError(self._complain(np.unique(codes[unknown]), stored, path))
            ids[unknown] = self.unknown
        return ids.astype(np.uint8)

    def _codes(self, stored: StoredLabels, path: Path) -> NDArray[np.integer]:
        if self.mask_format == "color":
            red, green, blue = np.moveaxis(stored.rgb().astype(np.int32), 2, 0)
            codes: NDArray[np.int32] = red << 16 | green << 8 | blue
            return codes
        if stored.kind == "color":
            raise DataError(
                f"label map {path} holds colours, but data.mask_format is {self.mask_format}; set "
                "data.mask_format: color and give data.palette one colour per class."
            )
        if self.mask_format == "index":
            return stored.pixels
        if stored.kind == "grey" and stored.pixels.max() == 1 and not stored.is_lossy:
            raise DataError(
                f"label map {path} holds the ids 0 and 1, which are both dark to "
                "data.mask_format: binary; set data.mask_format: index."
            )
        if stored.kind == "bit":
            return stored.pixels
        grey = stored.rgb()[..., 1] if stored.kind == "palette" else stored.pixels
        return (grey > THRESHOLD).astype(np.uint8)

    def _complain(self, codes: NDArray[np.integer], stored: StoredLabels, path: Path) -> str:
        names = [_spell(int(code), self.mask_format) for code in codes]
        shown = "; ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        what = "colours" if self.mask_format == "color" else "values"
        start = f"label map {path} holds {what} outside the {self.num_classes} classes: {shown}."
        if stored.is_lossy:
            return f"{start} It is a JPEG, which changes labels; export label maps as PNG."
        if self.mend:
            return f"{start} {self.mend}"
        if self.mask_format == "color" or self.is_complete:
            entries = ", ".join(f'"{name}": {IGNORE_INDEX}' for name in names[:8])
            return f"{start} Make them void with data.label_map: {{{entries}}}, or give class ids."
        voids = sorted({code for code, class_id in self.table if class_id == IGNORE_INDEX})
        voids = [value for value in voids if value != IGNORE_INDEX] + [int(c) for c in codes]
        fix = f"{start} Make them void with data.ignore_values: {voids[:16]}"
        if stored.pixels.min() > 0 and codes.max() == self.num_classes:
            shift = ", ".join(f'"{i + 1}": {i}' for i in range(self.num_classes))
            fix += f"; or, if ids start at 1, shift them with data.label_map: {{{shift}}}"
        if stored.kind == "palette":
            fix += "; or, if the colours count and not the indices, set data.mask_format: color"
        return f"{fix}; or name the further classes in data.classes."


@lru_cache(maxsize=4)
def _lookup_table(table: tuple[tuple[int, int], ...], bits: int) -> NDArray[np.int16]:
    """Make the array from stored value to class id; -1 marks a value that is no label."""
    ids = np.full(1 << bits, -1, np.int16)
    for code, class_id in table:
        ids[code] = class_id
    return ids


def _spell(code: int, mask_format: LabelFormat) -> str:
    if mask_format == "color":
        return f"{code >> 16},{code >> 8 & 255},{code & 255}"
    return str(code * 255 if mask_format == "binary" else code)


def _parse(text: str, mask_format: LabelFormat) -> int:
    parts = [int(part) for part in text.split(",")]
    is_color = len(parts) == 3
    if is_color != (mask_format == "color"):
        wanted = 'colours like "128,64,0"' if mask_format == "color" else 'values like "7"'
        raise ConfigError(
            f'data.label_map lists "{text}", but label maps of the format {mask_format} hold '
            f"{wanted}."
        )
    if max(parts) > (255 if is_color else 65535):
        raise ConfigError(f'data.label_map lists "{text}", more than a label file can hold.')
    if is_color:
        return parts[0] << 16 | parts[1] << 8 | parts[2]
    return int(parts[0] > 0) if mask_format == "binary" else parts[0]


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
    if mask_format == "binary" and num_classes != 2:
        raise ConfigError(
            f"binary label maps have two classes, but data.classes names {num_classes}; name the "
            "dark and the bright one, as in data.classes: [background, object]."
        )
    voids = tuple(ignore_values)
    if voids and mask_format != "index":
        raise ConfigError(
            f"data.ignore_values {list(voids)} only fits label maps of ids, and these are "
            f"{mask_format}; use data.label_map instead."
        )
    table: dict[int, int] = {}
    if mask_format == "color":
        for class_id, (red, green, blue) in enumerate(palette):
            table[red << 16 | green << 8 | blue] = class_id
    elif mask_format == "binary" or not label_map:
        table = {class_id: class_id for class_id in range(num_classes)}
    for text, class_id in (label_map or {}).items():
        if class_id >= num_classes and class_id != IGNORE_INDEX:
            raise ConfigError(
                f'data.label_map sends "{text}" to {class_id}, but the ids of the {num_classes} '
                f"classes end at {num_classes - 1}; {IGNORE_INDEX} is void."
            )
        table[_parse(text, mask_format)] = class_id
    if mask_format == "index":
        table.setdefault(IGNORE_INDEX, IGNORE_INDEX)
        table.update(dict.fromkeys(voids, IGNORE_INDEX))
    is_complete = mask_format == "index" and bool(label_map)
    if unknown is not None and unknown >= num_classes and unknown != IGNORE_INDEX:
        raise ConfigError(
            f"unknown values cannot become {unknown}: the ids of the {num_classes} classes end at "
            f"{num_classes - 1}; {IGNORE_INDEX} is void."
        )
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
    values: set[int] = set()
    may_be_binary = num_classes in (0, 2)
    for number, path in enumerate([*first, *(path for path in paths if path not in chosen)]):
        if number >= len(first) and len(values) > 1:
            break
        stored = read_labels(path)
        if stored.kind == "color":
            return "color"
        if may_be_binary and (stored.kind == "bit" or stored.is_lossy):
            return "binary"
        values.update(np.unique(stored.pixels).tolist())
    shows_binary = {0} < values <= {0, 255, 65535}
    return "binary" if may_be_binary and shows_binary else "index"
