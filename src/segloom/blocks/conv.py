"""The usual stack of layers: convolution, batch norm, ReLU."""

from __future__ import annotations

from torch import nn

__all__ = ["conv_norm", "conv_norm_relu"]


def conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = False
) -> nn.Sequential:
    """Stack a convolution that keeps the size and a batch norm: keys ``0.*`` and ``1.*``."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias),
        nn.BatchNorm2d(out_channels),
    )


def conv_norm_relu(
    in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = False
) -> nn.Sequential:
    """Stack what `conv_norm` does and a ReLU, under the same keys."""
    layers = conv_norm(in_channels, out_channels, kernel_size, bias=bias)
    return layers.append(nn.ReLU(inplace=True))
