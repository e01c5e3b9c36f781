"""From the logits of a network to probabilities and labels, by what its channels mean.

Axes: B batch, C channels, K classes, H W image size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, uint8

from segloom.ops.binary import both_logits
from segloom.ops.multilabel import pack_probabilities

__all__ = ["Channels", "channels_of", "label_scores"]


def label_scores(scores: Tensor) -> Tensor:
    """Take the class with the highest score.

    Args:
        scores: ``(B, K, H, W)``, K up to 255, any float dtype.

    Returns:
        uint8 ``(B, H, W)``, contiguous; the lowest id where scores are equal.
    """
    # With the classes of a pixel side by side in memory this runs about four times as fast.
    side_by_side = scores.permute(0, 2, 3, 1).contiguous()
    return side_by_side.max(dim=-1).indices.to(uint8)  # max is faster than argmax alone


class Channels(ABC):
    """What logits become; it holds no tensor, and `torch.export` looks through it."""

    @abstractmethod
    def per_class(self, logits: Tensor) -> Tensor:
        """Return a logit for every class ``(B, K, H, W)`` from those of the channels."""

    @abstractmethod
    def activate(self, logits: Tensor) -> Tensor:
        """Turn float32 logits ``(B, K, H, W)`` into probabilities."""

    @abstractmethod
    def label_logits(self, logits: Tensor) -> Tensor:
        """Label logits ``(B, K, H, W)``: integers ``(B, H, W)``."""

    def label_exported(self, logits: Tensor) -> Tensor:
        """Label logits as `label_logits`, in the form that other runtimes compute fastest."""
        return self.label_logits(logits)

    @abstractmethod
    def label_probabilities(self, probabilities: Tensor) -> Tensor:
        """Label probabilities ``(B, K, H, W)``: integers ``(B, H, W)``."""


class OneOfAll(Channels):
    """Classes that exclude each other, from a channel each or, of two, from one."""

    def per_class(self, logits: Tensor) -> Tensor:
        """Put the first class's logit, 0, before a single one."""
        return both_logits(logits)

    def activate(self, logits: Tensor) -> Tensor:
        """Take the softmax."""
        return logits.softmax(dim=1)

    def label_logits(self, logits: Tensor) -> Tensor:
        """Take the class with the highest logit: softmax keeps the order."""
        return label_scores(logits)

    def label_exported(self, logits: Tensor) -> Tensor:
        """Do so without the transposed copy, which is fast in torch alone."""
        return logits.argmax(1).to(uint8)

    def label_probabilities(self, probabilities: Tensor) -> Tensor:
        """Take the most probable class."""
        return label_scores(probabilities)


class EachForItself(Channels):
    """Classes that may overlap, a channel each."""

    def per_class(self, logits: Tensor) -> Tensor:
        """Pass on."""
        return logits

    def activate(self, logits: Tensor) -> Tensor:
        """Take the sigmoid of each."""
        return logits.sigmoid()

    def label_logits(self, logits: Tensor) -> Tensor:
        """Set the bits of the classes of a probability of at least a half."""
        return pack_probabilities(logits.float().sigmoid())

    def label_probabilities(self, probabilities: Tensor) -> Tensor:
        """Set the bits of the classes of a probability of at least a half."""
        return pack_probabilities(probabilities)


CHANNELS: dict[str, Channels] = {
    "binary": OneOfAll(),
    "multiclass": OneOfAll(),
    "multilabel": EachForItself(),
}
"""By the mode of a network."""


def channels_of(mode: str) -> Channels:
    """Return what the channels of a network of a mode become."""
    return CHANNELS[mode]
