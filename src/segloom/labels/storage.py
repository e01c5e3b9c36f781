"""What the pixels of a label file stand for: one class here for each format of a data set.

index   each pixel (grey, 16-bit grey, or palette index) holds a class id
color   each pixel holds the RGB colour of its class
binary  grey above 127 is class 1, else class 0; also 1-bit files, also JPEG; of a palette in colour
        every index but 0 is class 1

A *code* is what a pixel holds as one integer: a value, a colour ``red << 16 | green << 8 | blue``,
or 0 and 1 of binary files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError, DataError
from segloom.labels.smear import flat_pixels, read_by_nearest
from segloom.labels.stored import StoredLabels
from segloom.types import IGNORE_INDEX

__all__ = ["STORAGES", "THRESHOLD", "LabelFormat", "LabelStorage"]

LabelFormat = Literal["index", "color", "binary"]

THRESHOLD = 127
"""Grey values above it are foreground in a binary label map; JPEG smears 0 and 255."""
MANY_SHADES = 48
"""A label map of two classes with more grey values than this, most of them neither dark nor bright,
is a picture."""


class LabelStorage(ABC):
    """How the label files of a data set hold classes."""

    name: ClassVar[LabelFormat]
    """As in ``data.mask_format``."""
    bits: ClassVar[int] = 16
    """Of a code."""
    what: ClassVar[str] = "values"
    """What a pixel holds, in messages."""
    example: ClassVar[str] = 'values like "7"'
    """Keys of a label map, in messages."""
    survives_loss: ClassVar[bool] = False
    """Lossy files are read like others."""
    lists_all: ClassVar[bool] = False
    """A label map of the user lists every value; else it adds to what is known."""
    classes: ClassVar[tuple[str, ...]] = ()
    """Names of the classes where nobody names them."""
    always: ClassVar[Mapping[int, int]] = {}
    """Codes that have a class unless the label map gives them another."""

    @abstractmethod
    def codes(self, stored: StoredLabels, path: Path) -> NDArray[np.integer]:
        """Return the codes ``(H, W)`` of a file.

        Raises:
            DataError: It is stored otherwise; the message names ``path``.
        """

    def spell(self, code: int) -> str:
        """Write a code as the keys of ``data.label_map`` do."""
        return str(code)

    def parse(self, text: str) -> int:
        """Read a key of ``data.label_map``.

        Raises:
            ConfigError: It is of another format, or more than a file can hold.
        """
        parts = [int(part) for part in text.split(",")]
        if (len(parts) == 3) != (self.bits == 24):
            raise ConfigError(
                f'data.label_map lists "{text}", but label maps of the format {self.name} hold '
                f"{self.example}."
            )
        if max(parts) > (255 if len(parts) == 3 else 65535):
            raise ConfigError(f'data.label_map lists "{text}", more than a label file can hold.')
        return self._join(parts)

    def _join(self, parts: Sequence[int]) -> int:
        return parts[0]

    def check(self, num_classes: int, voids: Collection[int]) -> None:
        """Refuse a number of classes or values of void that such files cannot have.

        Raises:
            ConfigError: They have.
        """
        if voids:
            raise ConfigError(
                f"data.ignore_values {list(voids)} only fits label maps of ids, and these are "
                f"{self.name}; use data.label_map instead."
            )

    @abstractmethod
    def usual(
        self, num_classes: int, palette: Sequence[tuple[int, int, int]], *, is_listed: bool
    ) -> dict[int, int]:
        """Map codes to class ids before the user's label map, which ``is_listed`` says there is."""

    def is_smeared(self, stored: StoredLabels) -> bool | None:
        """Return whether a file is read by nearest codes; None: if a code is not listed."""
        return stored.is_lossy or None

    def nearest(self, stored: StoredLabels, codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Give the place of the nearest code for each pixel; None if they cannot be told apart."""
        if stored.kind != "grey":
            return None
        return read_by_nearest(stored.pixels, codes, is_lossy=stored.is_lossy)


class _Values(LabelStorage):
    """Holds one value per pixel, no colours."""

    def codes(self, stored: StoredLabels, path: Path) -> NDArray[np.integer]:
        """Take the values.

        Raises:
            DataError: The file holds colours.
        """
        if stored.kind == "color":
            raise DataError(
                f"label map {path} holds colours, but data.mask_format is {self.name}; set "
                "data.mask_format: color and give data.palette one colour per class."
            )
        return stored.pixels

    def usual(
        self, num_classes: int, palette: Sequence[tuple[int, int, int]], *, is_listed: bool
    ) -> dict[int, int]:
        """Map every id to itself, unless the label map lists every value."""
        return {} if is_listed else {class_id: class_id for class_id in range(num_classes)}


class ClassIds(_Values):
    """A class id per pixel; 255 is void."""

    name: ClassVar[LabelFormat] = "index"
    lists_all = True
    classes: ClassVar[tuple[str, ...]] = ()
    """Names of the classes where nobody names them."""
    always: ClassVar[Mapping[int, int]] = {IGNORE_INDEX: IGNORE_INDEX}

    def check(self, num_classes: int, voids: Collection[int]) -> None:
        """Accept all."""

    def is_smeared(self, stored: StoredLabels) -> bool | None:
        """Say of colours that they are not."""
        return super().is_smeared(stored) or (False if stored.kind == "color" else None)


class Brightness(_Values):
    """Dark is class 0 and bright is class 1."""

    name: ClassVar[LabelFormat] = "binary"
    survives_loss = True
    classes = ("background", "foreground")

    def codes(self, stored: StoredLabels, path: Path) -> NDArray[np.integer]:
        """Tell bright pixels from dark ones.

        Raises:
            DataError: The file holds colours, or nothing that is dark and bright.
        """
        values = super().codes(stored, path)
        return values if stored.kind == "bit" else _brightness(stored, path)

    def spell(self, code: int) -> str:
        """Write 0 and 255."""
        return str(code * 255)

    def _join(self, parts: Sequence[int]) -> int:
        return int(parts[0] > 0)

    def check(self, num_classes: int, voids: Collection[int]) -> None:
        """Refuse all but two classes.

        Raises:
            ConfigError: There are others, or values of void.
        """
        if num_classes != 2:
            raise ConfigError(
                f"binary label maps have two classes, but data.classes names {num_classes}; name "
                "the dark and the bright one, as in data.classes: [background, object]."
            )
        super().check(num_classes, voids)

    def usual(
        self, num_classes: int, palette: Sequence[tuple[int, int, int]], *, is_listed: bool
    ) -> dict[int, int]:
        """Map 0 and 1 to themselves; a label map only adds."""
        return {0: 0, 1: 1}

    def is_smeared(self, stored: StoredLabels) -> bool | None:
        """Say so of more than two greys."""
        return stored.kind == "grey" and len(np.unique(stored.pixels)) > 2


class Colors(LabelStorage):
    """The colour of its class per pixel."""

    name: ClassVar[LabelFormat] = "color"
    bits = 24
    what = "colours"
    example = 'colours like "128,64,0"'

    def codes(self, stored: StoredLabels, path: Path) -> NDArray[np.integer]:
        """Join the channels."""
        red, green, blue = np.moveaxis(stored.rgb().astype(np.int32), 2, 0)
        codes: NDArray[np.int32] = red << 16 | green << 8 | blue
        return codes

    def spell(self, code: int) -> str:
        """Write ``red,green,blue``."""
        return f"{code >> 16},{code >> 8 & 255},{code & 255}"

    def _join(self, parts: Sequence[int]) -> int:
        return parts[0] << 16 | parts[1] << 8 | parts[2]

    def usual(
        self, num_classes: int, palette: Sequence[tuple[int, int, int]], *, is_listed: bool
    ) -> dict[int, int]:
        """Map the colours of the palette; a label map only adds."""
        return {self._join(color): class_id for class_id, color in enumerate(palette)}

    def nearest(self, stored: StoredLabels, codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Compare colours."""
        colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
        return read_by_nearest(stored.rgb(), colors, is_lossy=stored.is_lossy)


STORAGES: dict[LabelFormat, LabelStorage] = {
    storage.name: storage for storage in (ClassIds(), Colors(), Brightness())
}
"""By ``data.mask_format``."""


def _brightness(stored: StoredLabels, path: Path) -> NDArray[np.uint8]:
    """Tell the bright pixels (1) of a binary label map from the dark ones (0).

    Raises:
        DataError: Nothing is bright though something is drawn, or most is between dark and bright.
    """
    if stored.colors is not None:
        relevant = stored.colors[[0, 1, *np.unique(stored.pixels).tolist()]]
        if (relevant != relevant[:, :1]).any():  # dark red on black is no brightness
            return (stored.pixels > 0).astype(np.uint8)
    grey = stored.rgb()[..., 1] if stored.kind == "palette" else stored.pixels
    bright = grey > THRESHOLD
    if not bright.any():
        _refuse_dark_ids(grey, path, is_lossy=stored.is_lossy)
    # Five annotators' votes are grey too, but a picture has far more shades.
    is_grey = ((grey > 40) & (grey < 216)).mean() > 0.5
    if bright.any() and is_grey and len(np.unique(grey)) > MANY_SHADES:
        raise DataError(
            f"most of label map {path} is neither dark nor bright, so it is a picture and no label "
            "map of 0 and 255; check data.images and data.masks."
        )
    return bright.astype(np.uint8)


def _refuse_dark_ids(grey: NDArray[np.integer], path: Path, *, is_lossy: bool) -> None:
    """Refuse a label map without a bright pixel in which something is drawn all the same."""
    drawn = grey[flat_pixels(grey) & (grey > 0)] if grey.any() else grey[:0]
    if drawn.size or (not is_lossy and grey.max() == 1):
        values = ", ".join(map(str, np.unique(drawn if drawn.size else grey)[:8].tolist()))
        hint = "set data.mask_format: index"
        if is_lossy:
            hint = "export it again as PNG, since JPEG mixes such ids"
        raise DataError(
            f"label map {path} holds {values} and nothing above {THRESHOLD}, as ids 0 and 1 do, "
            f"which are all dark to data.mask_format: binary; {hint}."
        )
