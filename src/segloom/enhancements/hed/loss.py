"""Class-balanced cross-entropy of edge maps.

Source: Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015, equation 2. Nine pixels in ten
are no edge; each side is therefore weighed with the share of the other,

    l = - b sum_{y=1} log p - (1 - b) sum_{y=0} log(1 - p),     b = |y=0| / (|y=0| + |y=1|),

summed over pixels, not averaged: the authors' learning rates belong to the sum.
Axes: B batch, S score maps, H W image.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["balanced_edge_loss"]


def balanced_edge_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the loss of each score map, summed over pixels and images, balanced in each image.

    Args:
        logits: ``(B, S, H, W)``.
        target: Integers ``(B, H, W)``: 1 is an edge, 0 is none, other values do not count.

    Returns:
        ``(S,)``; 0 for an image whose labelled pixels are all alike.
    """
    is_edge, is_plain = (target == 1).unsqueeze(1), (target == 0).unsqueeze(1)  # (B, 1, H, W)
    edges, plain = (
        part.sum((2, 3), keepdim=True, dtype=logits.dtype) for part in (is_edge, is_plain)
    )
    share = plain / (edges + plain).clamp(min=1)
    weight = is_edge * share + is_plain * (1 - share)
    loss = F.binary_cross_entropy_with_logits(
        logits, is_edge.to(logits.dtype).expand_as(logits), reduction="none"
    )
    return (weight * loss).sum((0, 2, 3))
