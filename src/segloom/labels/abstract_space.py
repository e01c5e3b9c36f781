"""What is asked of a label space: what the values of label maps and a network's channels mean.

`segloom.labels.space` has the spaces. Axes: K classes, H W image size, ``...`` any shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError
from segloom.labels.palette import Color
from segloom.types import Mode, Region

__all__ = ["LabelSpace", "PixelCounts"]


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
    asked_mode: ClassVar[Mode | Literal["auto"]] = "auto"
    """What a network of so many channels is built with."""
    network_modes: ClassVar[tuple[Mode, ...]]
    """Of networks that can learn such label maps."""
    overlaps: ClassVar[bool] = False
    """A pixel may be of several classes or of none."""
    words: ClassVar[str] = "exclude each other"
    """What the classes do, in messages."""
    wants: ClassVar[str] = "one class per pixel"
    """What a network is trained for, in messages."""
    channel_words: ClassVar[str] = ""
    """What is said behind a number of channels."""
    class_words: ClassVar[str] = ""
    """What is said behind a number of classes."""
    least_classes: ClassVar[int] = 2
    """With fewer there is nothing to tell apart."""
    saved_since: ClassVar[int] = 1
    """Version of the format of saved networks that knows it."""
    extra_colors: ClassVar[tuple[tuple[int, int, int], ...]] = ()
    """Those of pictures besides the colours of classes and of void: of no class."""
    fits_palette: ClassVar[bool] = True
    """A label map can be an image with a palette."""
    no_single: ClassVar[str] = ""
    """Why a pixel of a label map cannot have one class, in messages; empty where it has."""
    mode_words: ClassVar[str]
    """Why a network of another mode does not fit such data, in messages."""

    @property
    def num_channels(self) -> int:
        """Channels of a network."""
        return self.num_classes

    @property
    @abstractmethod
    def label_type(self) -> str:
        """Name of the dtype of a label map."""

    @abstractmethod
    def activate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn logits ``(K, H, W)`` into probabilities."""

    @abstractmethod
    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.integer]:
        """Label probabilities ``(K, H, W)``: ``(H, W)``."""

    @abstractmethod
    def decide_logits(self, logits: NDArray[np.float32]) -> NDArray[np.integer]:
        """Label logits ``(K, H, W)``: ``(H, W)``."""

    @abstractmethod
    def confidence(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability ``(H, W)`` of what is decided, of several answers the least."""

    @abstractmethod
    def where(self, labels: NDArray[np.integer], class_id: int) -> NDArray[np.bool_]:
        """Return the pixels of a class in a label map, in its shape."""

    def mixes(self, labels: NDArray[np.integer]) -> bool:
        """Return whether a pixel is of two classes."""
        return False

    @abstractmethod
    def usual_regions(self, names: Sequence[str]) -> tuple[Region, ...]:
        """Return what is scored against all else where the data names nothing; of class names."""

    @abstractmethod
    def bare(self, labels: NDArray[np.integer], background: int | None) -> NDArray[np.bool_]:
        """Give the pixels that pictures leave as they are: of void, of no class, of background."""

    @abstractmethod
    def pixels_of_files(self, labels: NDArray[np.integer]) -> list[NDArray[np.integer]]:
        """Return what the files of a label map hold: one of class ids, or 0 and 255 per class."""

    @abstractmethod
    def join_files(self, stored: Sequence[NDArray[np.integer]]) -> NDArray[np.integer]:
        """Make a label map of what its files hold."""

    def for_network(self, mode: str, num_channels: int | None) -> LabelSpace:
        """Settle what the channels of a network mean that learns such label maps.

        Args:
            mode: Of a network, or auto.
            num_channels: That are asked for; None leaves it open.

        Raises:
            ConfigError: Another mode or number of channels is asked for.
        """
        if mode not in ("auto", *self.network_modes):
            raise ConfigError(f"model.mode is {mode}, but {self.mode_words}")
        if num_channels not in (None, self.num_classes):
            raise ConfigError(
                f"model.classes is {num_channels} but the data has {self.num_classes} classes; "
                "leave model.classes out to take the data's."
            )
        return self

    @abstractmethod
    def count(self, labels: NDArray[np.integer]) -> PixelCounts:
        """Count the pixels of every class in a label map."""

    @abstractmethod
    def paint(self, labels: NDArray[np.integer], palette: Sequence[Color]) -> NDArray[np.uint8]:
        """Give every pixel the colour of its classes or of void, uint8 ``(H, W, 3)``."""

    @abstractmethod
    def check_network(self, num_channels: int) -> None:
        """Refuse a number of channels that a network of this mode cannot have."""
