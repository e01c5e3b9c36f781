"""FAM and GD-FAM: upsampling of a pyramid level along a learned flow.

Papers: Li et al., "Semantic Flow for Fast and Accurate Scene Parsing" (SFNet), ECCV 2020, section
3.2; Li et al., "SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow", IJCV 2024,
for the gated dual form. The coarse map F of a pyramid is resized to the size of the fine map L,
but every place looks where a small flow field points, so that blurred borders fall on sharp ones:

    flow = conv3x3([up(conv1x1(F)), conv1x1(L)])            2 channels: to the right, down
    FAM(L, F)(p) = F(p + flow(p))                           bilinear, zeros outside

Axes: B batch, K channels of the pyramid, H W size of the fine map, h w of the coarse one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segloom.ops.resize import resize, warp

__all__ = ["FlowAlign", "FlowJoin", "GatedDualFlowAlign"]


class FlowAlign(nn.Module):
    """Carry a coarse map to the size of a fine one along a learnt flow.

    Args:
        channels: K, of both maps.
        fields: Flow fields to make, of two channels each.
    """

    def __init__(self, channels: int, *, fields: int = 1) -> None:
        super().__init__()
        self.reduce_low = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.reduce_high = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.flow = nn.Conv2d(2 * (channels // 2), 2 * fields, 3, padding=1, bias=False)

    def make_flow(self, low: Tensor, high: Tensor) -> Tensor:
        """Compute ``(B, 2 fields, H, W)`` from ``(B, K, H, W)`` and ``(B, K, h, w)``."""
        coarse = resize(self.reduce_high(high), low.shape[-2:])  # (B, K/2, H, W)
        flow: Tensor = self.flow(torch.cat([coarse, self.reduce_low(low)], dim=1))
        return flow

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Warp ``high`` ``(B, K, h, w)`` onto ``low`` ``(B, K, H, W)``."""
        return warp(high, self.make_flow(low, high))


class GatedDualFlowAlign(FlowAlign):
    """GD-FAM of SFNet-Lite: warp both maps, each along its own flow, and mix them by a gate.

        gate = sigmoid(conv3x3([mean(F'), mean(L), max(F'), max(L)]))      over channels
        out  = gate * F(p + flow_F(p)) + (1 - gate) * L(p + flow_L(p))

    with F' = up(conv1x1(F)), as the flows see it.

    Args:
        channels: K, of both maps.
        summarize: Gate by means and maxima, as SFNet-Lite does; False gates by F' and conv1x1(L).
    """

    def __init__(self, channels: int, *, summarize: bool = True) -> None:
        super().__init__(channels, fields=2)
        self.summarize = summarize
        self.gate = nn.Conv2d(
            4 if summarize else self.flow.in_channels, 1, 3, padding=1, bias=False
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Mix ``low`` ``(B, K, H, W)`` and ``high`` ``(B, K, h, w)`` into ``(B, K, H, W)``."""
        coarse = resize(self.reduce_high(high), low.shape[-2:])  # (B, K/2, H, W)
        both = torch.cat([coarse, self.reduce_low(low)], dim=1)  # (B, K, H, W)
        flow = self.flow(both)  # (B, 4, H, W)
        if self.summarize:
            means = [map_.mean(1, keepdim=True) for map_ in (coarse, low)]
            maxima = [map_.amax(1, keepdim=True) for map_ in (coarse, low)]
            both = torch.cat([*means, *maxima], dim=1)  # (B, 4, H, W)
        gate = torch.sigmoid(self.gate(both))  # (B, 1, H, W)
        return gate * warp(high, flow[:, :2]) + (1 - gate) * warp(low, flow[:, 2:])


class FlowJoin(FlowAlign):
    """A top-down fusion of a pyramid: the fine map plus the coarse one, carried along the flow."""

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Fuse ``(B, K, H, W)`` and ``(B, K, h, w)`` into ``(B, K, H, W)``."""
        return low + super().forward(low, high)
