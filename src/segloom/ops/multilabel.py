"""From label maps of bits (`segloom.label_bits`) to a map per class, and from scores to bits.

Axes: B batch, K classes, H W image size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from segloom.label_bits import in_class
from segloom.types import IGNORE_INDEX

__all__ = ["class_targets", "pack_probabilities"]


def class_targets(target: Tensor, num_classes: int) -> Tensor:
    """Unfold bits, integers ``(B, H, W)``, to ``(B, K, H, W)`` of 0, 1 and 255 for void."""
    maps = torch.stack([in_class(target, class_id) for class_id in range(num_classes)], dim=1)
    return maps.masked_fill((target == IGNORE_INDEX).unsqueeze(1), IGNORE_INDEX)


def pack_probabilities(probabilities: Tensor) -> Tensor:
    """Take the classes of a probability of at least a half.

    Args:
        probabilities: Float ``(B, K, H, W)``, each class for itself, K up to 7.

    Returns:
        uint8 ``(B, H, W)``, bit k set where class k is.
    """
    num_classes = probabilities.shape[1]
    bits = torch.tensor([1 << k for k in range(num_classes)], device=probabilities.device)
    present = (probabilities >= 0.5).long() * bits.view(1, -1, 1, 1)
    return present.sum(dim=1).to(torch.uint8)
