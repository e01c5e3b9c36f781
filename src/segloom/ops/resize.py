"""Bilinear resizing and bilinear warping in one coordinate system: corners fall on corners.

Axes: B batch, C channels, h w size of the source, H W size of the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segloom.ops.sizes import larger_size

__all__ = ["resize", "warp"]


def resize(source: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``(B, C, h, w)`` to ``(B, C, H, W)``, bilinearly, corners on corners."""
    return F.interpolate(source, size=list(size), mode="bilinear", align_corners=True)


def warp(source: Tensor, flow: Tensor) -> Tensor:
    """Resize a map to the size of a flow field and shift each place by the flow.

    A flow of 0 gives `resize`; outside the source all is 0. One unit of flow is W / (W - 1) times
    half a pixel of the result: SFNet divides it by the width W, where the grid of -1 to 1 spans
    W - 1 steps (Li et al., "Semantic Flow for Fast and Accurate Scene Parsing", ECCV 2020).

    Args:
        source: ``(B, C, h, w)``.
        flow: ``(B, 2, H, W)``: to the right, then down.

    Returns:
        ``(B, C, H, W)`` in the source's type; computed in float32, since bfloat16 cannot tell two
        neighbouring places of a row of 512 pixels apart.
    """
    height, width = flow.shape[-2:]
    precise = torch.promote_types(source.dtype, torch.float32)
    shift = flow.to(precise)

    def places(count: int) -> Tensor:
        """Spread -1 to 1; linspace and affine_grid write the size into an exported program."""
        steps = torch.arange(count, device=flow.device, dtype=precise)
        return steps * (2 / larger_size(count - 1, 1)) - 1

    x = shift[:, 0] / width + places(width)
    y = shift[:, 1] / height + places(height).unsqueeze(-1)
    grid = torch.stack([x, y], dim=-1)  # (B, H, W, 2)
    return F.grid_sample(source.to(precise), grid, align_corners=True).to(source.dtype)
