"""Losses of classes that may overlap: a sigmoid per class against the bits of the label map.

`segloom.ops.multilabel` unfolds the bits. Each class is a question of yes or no, so class weights
weigh the classes' losses among each other, not pixels, and a mean is one over labelled pixels and
classes.
Axes: B batch, K classes, H W image size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segloom.losses.cross_entropy import CrossEntropy, Focal
from segloom.ops.multilabel import class_targets
from segloom.types import IGNORE_INDEX

__all__ = ["MultilabelCrossEntropy", "MultilabelFocal", "PerClass"]


class MultilabelCrossEntropy(CrossEntropy):
    """Binary cross-entropy of every class, a mean over labelled pixels and classes.

    Args:
        class_weights: One per class; None weighs all alike.
    """

    def __init__(self, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(class_weights)

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the weighted mean over classes ``(B, H, W)``; 0 for void."""
        return _mean_over_classes(*_surprise(logits, target), self.class_weights)

    def pixel_weights(self, target: Tensor) -> Tensor:
        """Count every labelled pixel once, float32 ``(B, H, W)``."""
        return (target != IGNORE_INDEX).float()


class MultilabelFocal(MultilabelCrossEntropy):
    """The same, each answer weighed by the power ``gamma`` of its probability of being wrong.

    Args:
        class_weights: One per class; None weighs all alike.
        gamma: Strength, at least 1; 2 in the paper (Lin et al., ICCV 2017, equation 4).

    Raises:
        ConfigError: ``gamma`` is less than 1.
    """

    def __init__(self, class_weights: Sequence[float] | None = None, *, gamma: float = 2.0) -> None:
        super().__init__(class_weights)
        self.gamma = Focal(gamma=gamma).gamma  # checks it

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the weighted mean over classes ``(B, H, W)``; 0 for void."""
        surprise, valid = _surprise(logits, target)
        # -expm1 keeps 1 - p exact for sure pixels.
        values = (-torch.expm1(-surprise)) ** self.gamma * surprise
        return _mean_over_classes(values, valid, self.class_weights)


class PerClass(nn.Module):
    """Hand a loss of maps per class what it expects.

    Args:
        loss: Takes logits and targets ``(B, K, H, W)`` and leaves targets of 255 out.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of masked logits ``(B, K, H, W)`` for int64 bits ``(B, H, W)``."""
        value: Tensor = self.loss(logits, class_targets(target, logits.shape[1]))
        return value


def _surprise(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Compute -log of the probability of every true answer ``(B, K, H, W)``, and what counts."""
    truth = class_targets(target, logits.shape[1])
    valid = truth != IGNORE_INDEX
    truth = truth.masked_fill(~valid, 0).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none"), valid


def _mean_over_classes(values: Tensor, valid: Tensor, weights: Tensor | None) -> Tensor:
    values = values * valid
    if weights is None:
        return values.mean(dim=1)
    return torch.einsum("bkhw,k->bhw", values, weights / weights.sum())
