"""The simple feature pyramid: maps at several strides from the last map of a plain transformer.

Paper: Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection" (ViTDet),
ECCV 2022, section 3 and figure 2c. With x the last map at stride s, level l at stride t is::

    p_t = LN(conv3x3(LN(conv1x1(r_t(x)))))

    r_t = x                                          t = s
          maxpool2x2(...)                            t = 2 s, once per factor of two
          deconv2x2(x)                               t = s / 2
          deconv2x2(GELU(LN(deconv2x2(x))))          t = s / 4, and so on

LN normalises over the channels of each pixel; every deconvolution halves the channels.
Differences: strides need not be 4 to 32, so that decoders with a map at half the size, or with an
``output_stride`` of 8 or 16, get theirs; ViTDet adds a last map by pooling, for boxes, left out.
Axes: B batch, C channels, h w size.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from timm.layers import LayerNorm2d
from torch import Tensor, nn

__all__ = ["SimpleFeaturePyramid"]


class SimpleFeaturePyramid(nn.Module):
    """Build maps at given strides from one map.

    Args:
        in_channels: C, of the map.
        stride: Of the map, in pixels of the image.
        strides: Of the results.
        out_channels: Of every result; ViTDet's 256.

    Raises:
        ValueError: A stride is no power of two away from that of the map.
    """

    def __init__(
        self, in_channels: int, stride: int, strides: Sequence[int], out_channels: int = 256
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            _branch(in_channels, stride, target, out_channels) for target in strides
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map ``(B, C, h, w)`` to ``(B, out_channels, h s / t, w s / t)`` for every stride t."""
        return [branch(x) for branch in self.branches]


def _branch(channels: int, stride: int, target: int, out_channels: int) -> nn.Sequential:
    steps = log2(stride / target)
    if steps != int(steps):
        raise ValueError(f"stride {target} is no power of two away from stride {stride}.")
    layers: list[nn.Module] = [nn.MaxPool2d(2) for _ in range(-int(steps))]
    for step in range(int(steps)):
        if step:
            layers += [LayerNorm2d(channels), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
    layers += [nn.Conv2d(channels, out_channels, 1, bias=False), LayerNorm2d(out_channels)]
    layers.append(nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False))
    return nn.Sequential(*layers, LayerNorm2d(out_channels))
