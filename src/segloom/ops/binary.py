"""One logit for two classes: a network of a single channel beside those of two.

With z the logit of the foreground and 0 that of the background, ``softmax(0, z)`` is
``(1 - sigmoid(z), sigmoid(z))``: the cross-entropy of the pair is the binary cross-entropy of z,
and the larger of the two is the foreground where ``sigmoid(z) > 0.5``. So every loss, score and
prediction for two classes also holds for one logit.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["both_logits"]


def both_logits(logits: Tensor) -> Tensor:
    """Put the background's logit, 0, before a single logit ``(B, 1, H, W)``; pass on others."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)
