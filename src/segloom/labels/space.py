"""What the channels of a network and the values of a label map mean: the one owner of the mode.

Exclusive    a channel per class, and of every pixel one class: values are class ids
OneLogit     the same of two classes, from one channel, the second class's logit
Overlapping  a channel per class, and of every pixel any classes: values are bits

Whoever counts, paints, labels or stores asks a `LabelSpace`; the functions of torch are in
`segloom.ops.channels`. This file does not import torch.

Axes: K classes, H W image size, ``...`` any shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.labels.bits import check_number, label_type, pack, present_classes, stray_bits
from segloom.labels.palette import NO_CLASS, Color, void_color
from segloom.types import IGNORE_INDEX, LabelSet, Mode

__all__ = [
    "MODES",
    "Exclusive",
    "LabelSpace",
    "OneLogit",
    "Overlapping",
    "PixelCounts",
    "network_space",
    "space_of",
]


class PixelCounts(NamedTuple):
    """Pixels of a label map."""

    classes: NDArray[np.int64]
    """``(K,)``; of classes that overlap they may add up to more than there are."""
    labelled: int
    """Pixels that are not void."""
    void: int


@dataclass(frozen=True)
class LabelSpace(ABC):
    """What the values of label maps and the channels of a network stand for."""

    num_classes: int
    """K."""
    mode: ClassVar[Mode]
    """As in a saved network."""
    overlaps: ClassVar[bool] = False
    """A pixel may be of several classes or of none."""
    words: ClassVar[str] = "exclude each other"
    """What the classes do, in messages."""
    wants: ClassVar[str] = "one class per pixel"
    """What a network is trained for, in messages."""

    @property
    def num_channels(self) -> int:
        """Channels of a network."""
        return self.num_classes

    @property
    @abstractmethod
    def label_type(self) -> str:
        """Name of the dtype of a label map."""

    @abstractmethod
    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[Any]:
        """Label probabilities ``(K, H, W)``: ``(H, W)``."""

    @abstractmethod
    def count(self, labels: NDArray[Any]) -> PixelCounts:
        """Count the pixels of every class in a label map."""

    @abstractmethod
    def paint(self, labels: NDArray[Any], palette: Sequence[Color]) -> NDArray[np.uint8]:
        """Give every pixel the colour of its classes or of void, uint8 ``(H, W, 3)``."""

    @abstractmethod
    def check_network(self, num_channels: int) -> None:
        """Refuse a number of channels that a network of this mode cannot have."""


class Exclusive(LabelSpace):
    """One class per pixel: values are class ids, and 255 is void."""

    mode: ClassVar[Mode] = "multiclass"

    @property
    def label_type(self) -> str:
        """uint8."""
        return "uint8"

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Take the most probable class, of equal ones the first."""
        labels: NDArray[np.uint8] = probabilities.argmax(axis=0).astype(np.uint8)
        return labels

    def count(self, labels: NDArray[Any]) -> PixelCounts:
        """Count the pixels of every class."""
        counts = np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1)
        void = int(counts[IGNORE_INDEX])
        return PixelCounts(counts[: self.num_classes], int(counts.sum()) - void, void)

    def paint(self, labels: NDArray[Any], palette: Sequence[Color]) -> NDArray[np.uint8]:
        """Paint class ids that have been checked."""
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
    overlaps = True
    words = "overlap"
    wants = "classes that may overlap"

    @property
    def label_type(self) -> str:
        """uint8, or int32 or int64 for more than seven and 23 classes."""
        return label_type(self.num_classes)

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[Any]:
        """Take the classes of a probability of at least a half."""
        return pack(probabilities >= 0.5)

    def count(self, labels: NDArray[Any]) -> PixelCounts:
        """Count the pixels of every class."""
        present = present_classes(labels, self.num_classes)
        void = int((labels == IGNORE_INDEX).sum())
        return PixelCounts(present.reshape(len(present), -1).sum(1), labels.size - void, void)

    def paint(self, labels: NDArray[Any], palette: Sequence[Color]) -> NDArray[np.uint8]:
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


def space_of(labels: LabelSet) -> LabelSpace:
    """Give what the values of the label maps of a data set mean."""
    return (Overlapping if labels.is_multilabel else Exclusive)(len(labels.classes))


def network_space(mode: str, num_channels: int) -> LabelSpace:
    """Give what so many channels of a network mean.

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
