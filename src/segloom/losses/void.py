"""The void rule: a pixel labelled 255 takes no part in any loss.

Its logits are replaced by zeros before a loss sees them, so that its gradient is exactly zero
whatever the logits hold, infinities included, and a batch of nothing but void gives a loss of 0
with finite gradients.
Axes: B batch, K classes, H W image size.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from segloom.types import IGNORE_INDEX

__all__ = ["VoidRule", "mask_void", "mean_over_pixels"]


def mask_void(logits: Tensor, target: Tensor) -> Tensor:
    """Return float32 logits ``(B, K, H, W)`` with zeros where the target ``(B, H, W)`` is void."""
    return logits.float().masked_fill((target == IGNORE_INDEX).unsqueeze(1), 0.0)


class VoidRule(nn.Module):
    """Make any loss obey the void rule.

    Args:
        loss: ``loss(logits, target) -> scalar`` that leaves pixels labelled 255 out of its value.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of logits ``(B, K, H, W)`` for int64 labels ``(B, H, W)``."""
        value: Tensor = self.loss(mask_void(logits, target), target)
        return value


class SkipEmpty(nn.Module):
    """Give 0 for a batch of void alone, where the wrapped loss would divide by zero."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of masked logits ``(B, K, H, W)`` for int64 labels ``(B, H, W)``."""
        if bool((target == IGNORE_INDEX).all()):
            return logits.sum()  # masked: exactly 0, and still part of the graph
        value: Tensor = self.loss(logits, target)
        return value


def mean_over_pixels(values: Tensor, weights: Tensor, *, over_processes: bool) -> Tensor:
    """Average ``values`` by ``weights``, both ``(B, H, W)``; 0 where all weights are.

    Args:
        values: Losses per pixel, already weighted.
        weights: What each pixel counts; 0 for void.
        over_processes: Divide by the average over the processes of a distributed training. The
            average of their gradients is then that of one process with the whole batch, however
            void is spread over them. Every process must call it equally often.
    """
    total = weights.sum()
    if over_processes and distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
        total = total / distributed.get_world_size()
    return values.sum() / total.clamp_min(torch.finfo(total.dtype).tiny)
