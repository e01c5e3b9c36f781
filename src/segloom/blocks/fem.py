"""FEM-D and FEM-S: fusion of two pyramid levels that adds the high frequencies of their maps.

Paper: Liu, Zhang and Guo, "Boosting Semantic Segmentation via Feature Enhancement" (FENet),
ChinaMM 2022, figure 2. With the high-pass filter HPF(x) = x - k * x, a learnable k of 9x9 per
channel that begins as the average of its window, L the fine and H the coarse map, and s either:

    FEM-D  detail, at the coarse size:    s = H,     d = [HPF(H), down(HPF(L))]
    FEM-S  structure, at the fine size:   s = up(H), d = [HPF(L), up(HPF(H))]
    out = ReLU(BN(conv(ReLU(BN(Res(ReLU(BN(conv(d)))) + s)))))             all conv 3x3

So the fine map enters FEM-S through its high frequencies alone. The released program filters with
zeros around the map and shares k between L and H; that is kept.

Axes: B batch, K channels of the pyramid, H W size of the fine map, h w of the coarse one.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.blocks.conv import conv_norm, conv_norm_relu
from segloom.ops.resize import resize

__all__ = ["DetailEnhance", "Extractor", "FeatureEnhance", "FrequencyFilter", "StructureEnhance"]


WINDOW = 9
"""Side of the filter in pixels, of the released program."""


Extractor = Literal["highpass", "lowpass", "fixed"]
"""What a FEM extracts: ``highpass`` x - k * x of the released program; ``lowpass`` k * x; ``fixed``
a high-pass whose k stays the average."""


class FrequencyFilter(nn.Module):
    """Split the high or the low frequencies off, channel by channel.

    Args:
        channels: K.
        kind: See `Extractor`.
    """

    weight: Tensor

    def __init__(self, channels: int, kind: Extractor = "highpass") -> None:
        super().__init__()
        self.is_lowpass = kind == "lowpass"
        weight = torch.full((channels, 1, WINDOW, WINDOW), 1 / WINDOW**2)
        if kind == "fixed":
            self.register_buffer("weight", weight)
        else:
            self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Filter ``(B, K, H, W)``, with zeros around it."""
        low = F.conv2d(x, self.weight, padding=WINDOW // 2, groups=x.shape[1])
        return low if self.is_lowpass else x - low


class FeatureEnhance(nn.Module):
    """What FEM-D and FEM-S share: all but the direction.

    Args:
        channels: K, of both maps.
        extractor: See `Extractor`.
    """

    def __init__(self, channels: int, extractor: Extractor = "highpass") -> None:
        super().__init__()
        self.filter = FrequencyFilter(channels, extractor)
        self.merge = conv_norm_relu(2 * channels, channels, 3)
        self.residual = nn.Sequential(
            *conv_norm_relu(channels, channels, 3), *conv_norm(channels, channels, 3)
        )
        self.norm = nn.BatchNorm2d(channels)
        self.fuse = conv_norm_relu(channels, channels, 3)

    def enhance(self, details: Tensor, base: Tensor) -> Tensor:
        """Add to ``base`` ``(B, K, H, W)`` what is learnt from ``details`` ``(B, 2K, H, W)``."""
        z = self.merge(details)  # (B, K, H, W)
        z = F.relu(self.residual(z) + z)
        z = F.relu(self.norm(z + base))
        out: Tensor = self.fuse(z)
        return out


class DetailEnhance(FeatureEnhance):
    """FEM-D: enrich a coarse map with the details of the finer one."""

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Fuse ``(B, K, H, W)`` and ``(B, K, h, w)`` into ``(B, K, h, w)``."""
        fine = resize(self.filter(low), high.shape[-2:])
        return self.enhance(torch.cat([self.filter(high), fine], dim=1), high)


class StructureEnhance(FeatureEnhance):
    """FEM-S: carry a coarse map to the fine size and put the structure's edges back."""

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Fuse ``(B, K, H, W)`` and ``(B, K, h, w)`` into ``(B, K, H, W)``."""
        size = low.shape[-2:]
        coarse = resize(self.filter(high), size)
        return self.enhance(torch.cat([self.filter(low), coarse], dim=1), resize(high, size))
