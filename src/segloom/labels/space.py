"""What the channels of a network and the values of a label map mean: the one owner of the mode.

Exclusive    a channel per class, and of every pixel one class: values are class ids
OneLogit     the same of two classes, from one channel, the second class's logit
Overlapping  a channel per class, and of every pixel any classes: values are bits

Whoever counts, paints, labels or stores asks a `LabelSpace`; the functions of torch are in
`segloom.ops.channels`. This file does not import torch.

Axes: K classes, H W image size, ``...`` any shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.labels.abstract_space import LabelSpace, PixelCounts
from segloom.labels.bits import (
    check_number,
    in_class,
    label_type,
    pack,
    present_classes,
    stray_bits,
)
from segloom.labels.form import checked_ids
from segloom.labels.palette import NO_CLASS, Color, void_color
from segloom.types import IGNORE_INDEX, LabelSet, Mode, Region

__all__ = [
    "MODES",
    "Exclusive",
    "LabelSpace",
    "OneLogit",
    "Overlapping",
    "PixelCounts",
    "data_space",
    "network_space",
    "space_of",
]


class Exclusive(LabelSpace):
    """One class per pixel: values are class ids, and 255 is void."""

    mode: ClassVar[Mode] = "multiclass"
    network_modes = ("binary", "multiclass")
    mode_words = (
        "the data's label maps hold one class per pixel; give each class a folder of masks and set "
        "data.mask_format: multilabel."
    )

    @property
    def label_type(self) -> str:
        """uint8."""
        return "uint8"

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Take the most probable class, of equal ones the first."""
        labels: NDArray[np.uint8] = probabilities.argmax(axis=0).astype(np.uint8)
        return labels

    def activate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the softmax."""
        powers = np.exp(logits - logits.max(axis=0))
        total: NDArray[np.float32] = powers / powers.sum(axis=0)
        return total

    def decide_logits(self, logits: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Take the class of the highest logit, since softmax keeps the order."""
        return self.decide(logits)

    def confidence(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the highest."""
        highest: NDArray[np.float32] = probabilities.max(axis=0)
        return highest

    def where(self, labels: NDArray[np.integer], class_id: int) -> NDArray[np.bool_]:
        """Compare ids."""
        same: NDArray[np.bool_] = labels == class_id
        return same

    def usual_regions(self, names: Sequence[str]) -> tuple[Region, ...]:
        """Return of two classes the second."""
        return (Region(names[1], (1,)),) if len(names) == 2 else ()

    def bare(self, labels: NDArray[np.integer], background: int | None) -> NDArray[np.bool_]:
        """Return void and background."""
        void: NDArray[np.bool_] = labels == IGNORE_INDEX
        return void if background is None else void | (labels == background)

    def pixels_of_files(self, labels: NDArray[np.integer]) -> list[NDArray[np.integer]]:
        """Return the ids."""
        return [labels]

    def join_files(self, stored: Sequence[NDArray[np.integer]]) -> NDArray[np.uint8]:
        """Take the ids of the one file."""
        return stored[0].astype(np.uint8)

    def for_network(self, mode: str, num_channels: int | None) -> LabelSpace:
        """Settle whether two classes are learned by one channel; see `LabelSpace.for_network`."""
        is_pair = self.num_classes == 2
        if mode == OneLogit.mode:
            if is_pair and num_channels in (None, 1):
                return OneLogit(self.num_classes)
            is_asked = f"model.classes is {num_channels}"
            raise ConfigError(
                "model.mode binary is one logit for two classes, but "
                f"{is_asked if is_pair else f'the data has {self.num_classes}'}; "
                "leave one of them out."
            )
        if mode == Exclusive.mode and num_channels == 1:
            raise ConfigError(
                "model.mode is multiclass but model.classes is 1, a single logit; leave one of "
                "them out."
            )
        if mode == "auto" and is_pair and num_channels == 1:
            return OneLogit(self.num_classes)
        return super().for_network(mode, num_channels)

    def count(self, labels: NDArray[np.integer]) -> PixelCounts:
        """Count the pixels of every class."""
        counts = np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1)
        void = int(counts[IGNORE_INDEX])
        return PixelCounts(counts[: self.num_classes], int(counts.sum()) - void, void)

    def paint(self, labels: NDArray[np.integer], palette: Sequence[Color]) -> NDArray[np.uint8]:
        """Paint class ids.

        Raises:
            DataError: One has no colour.
        """
        labels = checked_ids(labels, len(palette))
        table = np.zeros((IGNORE_INDEX + 1, 3), np.uint8)
        table[: len(palette)] = palette
        table[IGNORE_INDEX] = void_color(palette)
        painted: NDArray[np.uint8] = table[labels]
        return painted

    def check_network(self, num_channels: int) -> None:
        """Refuse a single channel.

        Raises:
            ConfigError: It is one.
        """
        if num_channels == 1:
            raise ConfigError(
                "mode multiclass needs a channel per class, two at least, but classes is 1; take "
                "mode binary for one logit."
            )


class OneLogit(Exclusive):
    """Two classes from one channel: the logit of the second, see `segloom.ops.binary`."""

    mode: ClassVar[Mode] = "binary"

    @property
    def num_channels(self) -> int:
        """One."""
        return 1

    def check_network(self, num_channels: int) -> None:
        """Refuse several channels.

        Raises:
            ConfigError: There are.
        """
        if num_channels != 1:
            raise ConfigError(
                f"mode binary is one logit for two classes, but classes is {num_channels}; set "
                "classes=1, or take mode multiclass."
            )


class Overlapping(LabelSpace):
    """Any classes per pixel: values are bits (`segloom.labels.bits`), and 255 is void."""

    mode: ClassVar[Mode] = "multilabel"
    asked_mode: ClassVar[Mode] = "multilabel"
    network_modes = ("multilabel",)
    overlaps = True
    words = "overlap"
    wants = "classes that may overlap"
    channel_words = " that may overlap (mode multilabel: a sigmoid each),"
    class_words = ", which may overlap"
    least_classes = 1
    saved_since = 2
    extra_colors = (NO_CLASS,)
    fits_palette = False
    no_single = "but the network has classes that overlap (mode multilabel)"
    mode_words = (
        "the data has classes that overlap (data.mask_format multilabel); set model.mode: "
        "multilabel."
    )

    @property
    def label_type(self) -> str:
        """uint8, or int32 or int64 for more than seven and 23 classes."""
        return label_type(self.num_classes)

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.integer]:
        """Take the classes of a probability of at least a half."""
        return pack(probabilities >= 0.5)

    def activate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the sigmoid of each."""
        small = np.exp(-np.abs(logits))  # of -|x|, which cannot overflow
        sigmoid: NDArray[np.float32] = np.where(logits >= 0, 1, small) / (1 + small)
        return sigmoid

    def mixes(self, labels: NDArray[np.integer]) -> bool:
        """Look at every value that occurs."""
        number = present_classes(np.unique(labels), self.num_classes).sum(axis=0)
        return bool((number > 1).any())

    def decide_logits(self, logits: NDArray[np.float32]) -> NDArray[np.integer]:
        """Decide by the probabilities."""
        return self.decide(self.activate(logits))

    def confidence(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the least sure of the answers, each of which is at least a half."""
        least: NDArray[np.float32] = np.abs(probabilities - 0.5).min(axis=0) + 0.5
        return least

    def where(self, labels: NDArray[np.integer], class_id: int) -> NDArray[np.bool_]:
        """Look at the bit of the class; void is in no class."""
        is_set: NDArray[np.bool_] = in_class(labels, class_id, self.num_classes) > 0
        is_known: NDArray[np.bool_] = labels != IGNORE_INDEX
        return is_set & is_known

    def usual_regions(self, names: Sequence[str]) -> tuple[Region, ...]:
        """Give every class for itself."""
        return tuple(Region(name, (class_id,)) for class_id, name in enumerate(names))

    def bare(self, labels: NDArray[np.integer], background: int | None) -> NDArray[np.bool_]:
        """Return void and pixels of no class."""
        bare: NDArray[np.bool_] = (labels == IGNORE_INDEX) | (labels == 0)
        return bare

    def pixels_of_files(self, labels: NDArray[np.integer]) -> list[NDArray[np.integer]]:
        """Return 255 where a class is, for each class."""
        return [
            in_class(labels, class_id, self.num_classes).astype(np.uint8) * np.uint8(255)
            for class_id in range(self.num_classes)
        ]

    def join_files(self, stored: Sequence[NDArray[np.integer]]) -> NDArray[np.integer]:
        """Set the bit of a class where its file is not 0."""
        return pack(np.stack(stored) > 0)

    def count(self, labels: NDArray[np.integer]) -> PixelCounts:
        """Count the pixels of every class."""
        present = present_classes(labels, self.num_classes)
        void = int((labels == IGNORE_INDEX).sum())
        return PixelCounts(present.reshape(len(present), -1).sum(1), labels.size - void, void)

    def paint(self, labels: NDArray[np.integer], palette: Sequence[Color]) -> NDArray[np.uint8]:
        """Paint a pixel of several classes in the mean of their colours.

        Raises:
            DataError: A value is no set of classes.
        """
        values, places = np.unique(labels, return_inverse=True)
        known = values != IGNORE_INDEX
        if (stray := stray_bits(values, self.num_classes) & known).any():
            raise DataError(
                f"the label map holds {values[stray][0]}, which is no set of {self.num_classes} "
                "classes that may overlap."
            )
        members = present_classes(values, self.num_classes).T  # (values, K)
        number = members.sum(axis=1, keepdims=True)
        table = (members @ np.array(palette) / np.maximum(number, 1)).round().astype(np.uint8)
        table[values == 0] = NO_CLASS
        table[~known] = void_color([*palette, NO_CLASS])
        painted: NDArray[np.uint8] = table[places.reshape(labels.shape)]
        return painted

    def check_network(self, num_channels: int) -> None:
        """Refuse more channels than there are bits.

        Raises:
            ConfigError: There are.
        """
        check_number(num_channels)


MODES: dict[str, type[LabelSpace]] = {
    kind.mode: kind for kind in (OneLogit, Exclusive, Overlapping)
}
"""Every mode by its name in a configuration and in a saved network."""


def data_space(num_classes: int, *, overlaps: bool) -> LabelSpace:
    """Return what the values of label maps mean whose classes overlap or do not."""
    return (Overlapping if overlaps else Exclusive)(num_classes)


def space_of(labels: LabelSet) -> LabelSpace:
    """Return what the values of the label maps of a data set mean."""
    return data_space(len(labels.classes), overlaps=labels.is_multilabel)


def network_space(mode: str, num_channels: int) -> LabelSpace:
    """Return what so many channels of a network mean.

    Args:
        mode: One of `MODES`, or auto: one channel is one logit for two classes.
        num_channels: 1 to 255.

    Raises:
        UnknownNameError: There is no such mode.
        ConfigError: The channels do not fit it.
    """
    if mode == "auto":
        mode = OneLogit.mode if num_channels == 1 else Exclusive.mode
    if mode not in MODES:
        raise UnknownNameError("mode", mode, ("auto", *MODES))
    kind = MODES[mode]
    space = kind(max(num_channels, 2) if kind is OneLogit else num_channels)
    space.check_network(num_channels)
    return space
