"""Pyramid pooling (PPM): the deepest map sees the averages of large parts of the image.

Paper: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, section 3.2; the three forms are
those of the SFNet, FENet and SFNet-Lite programs.
Axes: B batch, C channels of the deepest map, K channels of the result, h w size, b side of a bin.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from segloom.blocks.conv import conv_norm, conv_norm_relu
from segloom.ops.resize import resize

__all__ = ["PyramidPooling"]

DROPOUT = 0.1


class PyramidPooling(nn.Module):
    """Average into 1, 2, 3 and 6 bins a side, reduce, resize, and merge with the map itself.

    Args:
        in_channels: C.
        out_channels: K.
        form: ``sfnet``: concatenate [averages, x]; ``fenet``: concatenate [x, averages], with a
            ReLU on the averages; ``sum``: add the averages of 1, 2 and 4 bins to the reduced x.
    """

    def __init__(
        self, in_channels: int, out_channels: int, form: Literal["sfnet", "fenet", "sum"] = "sfnet"
    ) -> None:
        super().__init__()
        self.form = form
        bins = (1, 2, 4) if form == "sum" else (1, 2, 3, 6)
        reduce = conv_norm_relu if form == "fenet" else conv_norm
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), *reduce(in_channels, out_channels, 1))
            for side in bins
        )
        if form == "sum":
            self.reduce = conv_norm(in_channels, out_channels, 1)
        merged = out_channels if form == "sum" else in_channels + len(bins) * out_channels
        self.fuse = conv_norm_relu(merged, out_channels, 1).append(nn.Dropout2d(DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, h, w)`` to ``(B, K, h, w)``."""
        size = x.shape[-2:]
        averages = [resize(branch(x), size) for branch in self.branches]  # (B, K, h, w) each
        if self.form == "sum":
            merged: Tensor = self.reduce(x)
            for average in averages:
                merged = merged + average
        else:
            parts = [x, *averages] if self.form == "fenet" else [*averages, x]
            merged = torch.cat(parts, dim=1)  # (B, C + 4K, h, w)
        fused: Tensor = self.fuse(merged)
        return fused
