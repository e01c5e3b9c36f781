"""Reading several masks of one image: files of yes and no, each of a class or of an object of one.

Objects of a class are united. What lies under several classes either keeps them all, as the bits of
`segloom.labels.bits`, or takes the last of them, as of things drawn on top of one another.

Axes: K classes, H W image size.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.data.planes import FileDecoder, Planes, check_size
from segloom.errors import DataError
from segloom.labels.bits import pack
from segloom.labels.decoder import LabelDecoder, make_decoder
from segloom.labels.smear import read_by_nearest
from segloom.labels.stored import StoredLabels, read_labels
from segloom.types import IGNORE_INDEX, Record

__all__ = ["ClassMaskDecoder", "is_mask"]

VALUES = frozenset({0, 1, 255})
"""What a mask may hold: no, and yes in two spellings."""
SAME_OBJECT = 0.8
"""Of neighbours inside the objects of a mask that numbers them, so many belong to one object."""


@dataclass(frozen=True)
class ClassMaskDecoder(FileDecoder):
    """Reads an image and the masks of its classes.

    `Record.class_masks` holds the files of every class; files after those of the last class say
    where the image is void.

    Args:
        classes: Their names.
        ignore_values: Values in a mask at which the pixel counts for no class (void).
        is_exclusive: Give class ids, of a pixel under several classes the last. Else bits.
        background: With it, the class id of pixels under no mask; None makes them void.
    """

    classes: tuple[str, ...]
    ignore_values: tuple[int, ...] = ()
    is_exclusive: bool = False
    background: int | None = None
    is_sequential = False

    @property
    def fingerprint(self) -> str:
        """Text that differs where the same files give other labels."""
        facts: tuple[object, ...] = ("class masks 2", self.classes, self.ignore_values)
        facts += (self.is_exclusive, self.background)
        return hashlib.sha256(repr(facts).encode()).hexdigest() + self.pixel_fingerprint

    def __call__(self, record: Record, decoder: LabelDecoder) -> Planes:
        """Read a sample; every mask holds the same values, so the decoder says nothing more.

        Raises:
            DataError: A file is missing or damaged, holds other values, or the sizes differ.
        """
        image = self.read_image(record.image)
        size = (image.shape[0], image.shape[1])
        read = self.ids if self.is_exclusive else self.bits
        return Planes(image, read(record.class_masks, size, record.image))

    def bits(
        self, masks: Sequence[Sequence[Path]], size: tuple[int, int], image: Path
    ) -> NDArray[np.integer]:
        """Join the masks of an image to bits ``(H, W)``.

        Args:
            masks: Files of every class.
            size: Height and width of the image.
            image: Where it lies, for messages.

        Raises:
            DataError: A mask is missing or damaged, holds other values, or is not of the size of
                the image.
        """
        present, void = self._present(masks, size, image)
        bits = pack(present)
        bits[void] = IGNORE_INDEX
        return bits

    def ids(
        self, masks: Sequence[Sequence[Path]], size: tuple[int, int], image: Path
    ) -> NDArray[np.uint8]:
        """Join the masks of an image to class ids ``(H, W)``; otherwise as `bits`."""
        present, void = self._present(masks, size, image)
        empty = IGNORE_INDEX if self.background is None else self.background
        labels = np.full(size, empty, np.uint8)
        for class_id, drawn in enumerate(present):
            if class_id != self.background:
                labels[drawn] = class_id
        labels[void] = IGNORE_INDEX
        return labels

    def conflicts(self, record: Record) -> Counter[tuple[str, str]]:
        """Count the pixels of a sample that lie under two classes, by the names of both.

        There are none where classes may overlap.

        Raises:
            DataError: As `bits`.
        """
        found: Counter[tuple[str, str]] = Counter()
        drawn = [place for place, files in enumerate(record.class_masks) if files]
        if not self.is_exclusive or len(drawn) < 2:
            return found
        first = read_labels(record.class_masks[drawn[0]][0])
        size = (first.pixels.shape[0], first.pixels.shape[1])
        present, _ = self._present(record.class_masks, size, record.image)
        for high in range(1, len(self.classes)):
            for low in range(high):
                number = int((present[low] & present[high]).sum())
                if number and self.background not in (low, high):
                    found[self.classes[low], self.classes[high]] += number
        return found

    def _present(
        self, masks: Sequence[Sequence[Path]], size: tuple[int, int], image: Path
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return where every class is ``(K, H, W)``, and what is void ``(H, W)``."""
        present = np.zeros((len(self.classes), *size), np.bool_)
        void = np.zeros(size, np.bool_)
        for index, files in enumerate(masks):
            drawn = present[index] if index < len(self.classes) else void
            for path in files:
                stored = _one_value(read_labels(path), path)
                check_size(size, stored.pixels, image, f"mask {path}")
                drawn |= self._is_yes(stored, path, void)
        return present, void

    def _is_yes(
        self, stored: StoredLabels, path: Path, void: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return where a mask says yes, and add to ``void`` where it says nothing."""
        if stored.is_lossy:  # JPEG smears 0 and 255
            return make_decoder(2, "binary").convert(stored, path) > 0
        values = {int(value) for value in np.unique(stored.pixels)}
        if hidden := values & set(self.ignore_values):
            void |= np.isin(stored.pixels, list(hidden))
            values -= hidden
        if values - VALUES and values - {0, 65535}:
            return self._is_smeared_or_numbered(stored, sorted(values - VALUES), path)
        if {1, 255} <= values:
            raise DataError(
                f"mask {path} holds both 1 and 255; if 255 means void there, set "
                "data.ignore_values: [255], else export it as 0 and 255."
            )
        yes: NDArray[np.bool_] = np.isin(stored.pixels, list(values - {0}))
        return yes

    def _is_smeared_or_numbered(
        self, stored: StoredLabels, wrong: list[int], path: Path
    ) -> NDArray[np.bool_]:
        hidden = np.isin(stored.pixels, list(self.ignore_values))
        pixels = np.where(hidden, 0, stored.pixels)
        if (places := read_by_nearest(pixels, [0, 255], is_lossy=False)) is not None:
            return places > 0
        if self.is_exclusive and _is_numbered(pixels):
            numbered: NDArray[np.bool_] = pixels > 0
            return numbered
        shown = ", ".join(map(str, wrong[:8])) + (", ..." if len(wrong) > 8 else "")
        raise DataError(
            f"mask {path} holds {shown}, but a mask of one class holds 0 and 255 (or 0 and 1); "
            "export it so, or make other values void with data.ignore_values."
        )


def is_mask(path: Path) -> bool:
    """Return whether a file holds yes and no, as the mask of a class or of an object does."""
    decoder = ClassMaskDecoder((), is_exclusive=True)
    try:
        size = read_labels(path).pixels.shape
        decoder.bits([[path]], (size[0], size[1]), path)
    except DataError:
        return False
    return True


def _one_value(stored: StoredLabels, path: Path) -> StoredLabels:
    """Bring a mask to one value per pixel: black is no; of a palette what it shows.

    Raises:
        DataError: It holds colours, and not just one besides black.
    """
    if stored.kind != "color" and stored.colors is None:
        return stored
    shown = stored.rgb()
    if stored.colors is not None and (shown == shown[..., :1]).all():
        is_white = set(np.unique(shown).tolist()) <= {0, 255}
        grey = np.ascontiguousarray(shown[..., 0])
        return stored._replace(pixels=grey, kind="grey") if is_white else stored
    drawn = shown.max(axis=2, keepdims=True)[..., 0] > 0
    colors = np.unique(shown[drawn], axis=0)
    if len(colors) > 1 or drawn.all():
        raise DataError(
            f"mask {path} holds colours; export it as 0 and 255, one file per class or object."
        )
    return stored._replace(pixels=drawn.astype(np.uint8), kind="grey")


def _is_numbered(pixels: NDArray[np.integer]) -> bool:
    """Tell whether a mask numbers its objects from 1: areas of one value, hardly a gap between."""
    values = np.unique(pixels)
    if values[0] < 0 or 2 * np.count_nonzero(values) < values[-1]:
        return False
    left, right = pixels[:, :-1], pixels[:, 1:]
    inside = (left > 0) & (right > 0)
    return bool((left == right)[inside].mean() >= SAME_OBJECT) if inside.any() else False
