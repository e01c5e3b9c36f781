"""From label maps of bits (`segloom.labels.bits`) to a map per class, and from scores to bits.

Axes: B batch, K classes, H W image size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from segloom.labels.bits import class_bit, in_class, label_type
from segloom.types import IGNORE_INDEX

__all__ = ["class_targets", "pack_probabilities"]


def class_targets(target: Tensor, num_classes: int) -> Tensor:
    """Unfold bits, integers ``(B, H, W)``, to ``(B, K, H, W)`` of 0, 1 and 255 for void."""
    maps = torch.stack([in_class(target, k, num_classes) for k in range(num_classes)], dim=1)
    return maps.masked_fill((target == IGNORE_INDEX).unsqueeze(1), IGNORE_INDEX)


def pack_probabilities(probabilities: Tensor) -> Tensor:
    """Take the classes of a probability of at least a half.

    Args:
        probabilities: Float ``(B, K, H, W)``, each class for itself.

    Returns:
        `segloom.labels.bits.label_type` of K ``(B, H, W)``, the bit of a class set where it is.
    """
    number = probabilities.shape[1]
    places = [1 << class_bit(k, number) for k in range(number)]
    bits = torch.tensor(places, device=probabilities.device)
    present = (probabilities >= 0.5).long() * bits.view(1, -1, 1, 1)
    dtype: torch.dtype = getattr(torch, label_type(number))
    return present.sum(dim=1).to(dtype)
