"""Whether every enhancement of a network has an effect on its answer at all.

An enhancement that starts at zero effect compares equal whatever an exporter made of it; so a
network that learned nothing there is compared once more with its enhancements disturbed.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from segloom.inference.graph import InferenceGraph
from segloom.models.model import SegmentationModel

__all__ = ["disturbed", "silent_enhancements"]

SPREAD = 0.1
"""Standard deviation of the disturbance, in units of a weight's own, or of 1 where it is zero."""


def silent_enhancements(model: SegmentationModel, image: Tensor) -> list[str]:
    """Name the enhancements some of whose weights have no influence on the logits.

    Weights that no gradient reaches at all, such as those of auxiliary heads, act in training
    alone and are no part of an export.

    Args:
        model: The network; it stays as it is.
        image: uint8 ``(B, C, H, W)``.
    """
    copy: SegmentationModel = deepcopy(model).eval().requires_grad_(True)
    logits = InferenceGraph(copy).eval().logits(image)
    generator = torch.Generator().manual_seed(0)
    mixed = (logits * torch.randn(logits.shape, generator=generator)).sum()
    weights = {name: [*part.parameters()] for name, part in copy.enhancements.items()}
    return [
        name
        for name, own in weights.items()
        if own and any(g is not None and not g.any() for g in _gradients(mixed, own))
    ]


def _gradients(value: Tensor, weights: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
        value, weights, retain_graph=True, allow_unused=True
    )
    return gradients


def disturbed(model: SegmentationModel) -> SegmentationModel:
    """Copy a network and move every weight of its enhancements a little, always in the same way."""
    copy: SegmentationModel = deepcopy(model).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in copy.enhancements.parameters():
            noise = torch.randn(weight.shape, generator=generator).to(weight)
            scale = weight.std() if weight.numel() > 1 else weight.abs().sum()
            weight.add_(noise * SPREAD * (scale if scale > 0 else torch.ones_like(scale)))
    return copy
