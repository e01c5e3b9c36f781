"""Two convolutions with nothing between them, computed as one.

A 7x7 and a 3x3 convolution in a row are one 9x9 convolution, except for the outermost ring of
pixels: there the second one reads zeros beside the first one's map, which no single kernel can
know. So the inside is computed with the composed kernel and the ring is recomputed in two steps on
narrow strips. The map between the two, often the largest of all, never exists.

Axes: B batch, C channels in, M channels between, K channels out, H W size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["compose_kernels", "convolve_twice"]


def convolve_twice(image: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    """Compute ``second(first(image))`` without the map between the two.

    Args:
        image: ``(B, C, H, W)``.
        first: C to M channels; odd square kernel, stride 1, padding of half the kernel.
        second: M to K channels; likewise.

    Returns:
        ``(B, K, H, W)``, equal to the two steps up to rounding.
    """
    reach, rim = first.kernel_size[0] // 2, second.kernel_size[0] // 2
    height, width = image.shape[-2:]
    if height <= 2 * rim or width <= 2 * rim:  # nothing but ring
        out: Tensor = second(first(image))
        return out
    weight, bias = compose_kernels(first, second)
    inside = F.conv2d(image, weight, bias, padding=reach)  # (B, K, H - 2 rim, W - 2 rim)
    if rim == 0:
        return inside
    padded = F.pad(image, (reach, reach, reach, reach))
    strip = 2 * (rim + reach)
    top, bottom = _ends(torch.cat([padded[:, :, :strip], padded[:, :, -strip:]]), first, second, 2)
    left, right = _ends(torch.cat([padded[..., :strip], padded[..., -strip:]]), first, second, 3)
    rows = slice(rim, height - rim)
    middle = torch.cat([left[:, :, rows], inside, right[:, :, rows]], dim=3)
    return torch.cat([top, middle, bottom], dim=2)


def compose_kernels(first: nn.Conv2d, second: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Compose two convolutions into the weight ``(K, C, m + n - 1, m + n - 1)`` and bias ``(K,)``.

    In float32 or better even under autocast: a rounded kernel would shift the whole map.
    """
    with torch.autocast(first.weight.device.type, enabled=False):
        inner, outer = _precise(first.weight), _precise(second.weight)
        weight = F.conv_transpose2d(inner.transpose(0, 1), outer.transpose(0, 1)).transpose(0, 1)
        bias = outer.sum((2, 3)) @ _precise(_bias(first)) + _precise(_bias(second))
        return weight.to(first.weight.dtype), bias.to(first.weight.dtype)


def _ends(strips: Tensor, first: nn.Conv2d, second: nn.Conv2d, axis: int) -> tuple[Tensor, Tensor]:
    """Compute the outermost slices along ``axis``.

    Args:
        strips: The two ends of the padded image, stacked along the batch.
        first: As in `convolve_twice`; its padding is already there.
        second: As in `convolve_twice`; it pads, which is right on the outer side of each strip.
        axis: The axis that the strips are narrow in, 2 or 3.
    """
    rim = second.kernel_size[0] // 2
    between = F.conv2d(strips, first.weight, _bias(first))  # 2 rim slices from the border inwards
    ends = F.conv2d(between, second.weight, _bias(second), padding=rim)
    begin, end = ends.reshape(2, -1, *ends.shape[1:])  # chunk would not export to ONNX
    return begin.narrow(axis, 0, rim), end.narrow(axis, rim, rim)


def _bias(convolution: nn.Conv2d) -> Tensor:
    if convolution.bias is None:
        return convolution.weight.new_zeros(convolution.out_channels)
    return convolution.bias


def _precise(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
