"""Depth-wise convolutions that learn quickly in bfloat16 on a CPU.

oneDNN has no fast gradient of a depth-wise convolution in bfloat16: with 5x5 kernels it takes about
four times as long as in float32, with 3x3 up to one and a half times. Here the layer answers in
bfloat16 and computes its gradient in float32, which is also the more precise one.

Axes: B batch, C channels, H W size, h w size of the result, k kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FastDepthwise", "speed_up_depthwise"]


class FastDepthwise(nn.Conv2d):
    """Stand in for a depth-wise convolution, with its keys and its very parameters.

    Args:
        convolution: The layer; timm's, which pads by the size of the image, too.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        channels = convolution.in_channels
        super().__init__(channels, channels, 1, groups=channels, device="meta")
        self.kernel_size, self.stride = convolution.kernel_size, convolution.stride
        self.padding, self.dilation = convolution.padding, convolution.dilation
        self._parameters = convolution._parameters
        self.pads_by_size = isinstance(convolution, Conv2dSame)
        self.training = convolution.training

    def forward(self, image: Tensor) -> Tensor:
        """Convolve ``(B, C, H, W)`` to ``(B, C, h, w)``, under autocast in its precision."""
        if self.pads_by_size:
            image = pad_same(image, self.kernel_size, self.stride, self.dilation)
        if torch.is_autocast_enabled("cpu"):
            image = image.to(torch.get_autocast_dtype("cpu"))
        shape = (self.stride, self.padding, self.dilation)
        result: Tensor = _Depthwise.apply(image, self.weight, self.bias, shape)
        return result


class _Depthwise(torch.autograd.Function):
    """The convolution in the precision of the image, its gradient in that of the weight."""

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, weight: Tensor, bias: Tensor | None, shape: tuple[Any, Any, Any]
    ) -> Tensor:
        ctx.save_for_backward(image, weight)
        ctx.shape, ctx.bias_size = shape, None if bias is None else [len(bias)]
        bias = None if bias is None else bias.to(image.dtype)
        return F.conv2d(image, weight.to(image.dtype), bias, *shape, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        image, weight = ctx.saved_tensors
        to_image, to_weight, to_bias = torch.ops.aten.convolution_backward(
            gradients[0].to(weight.dtype),
            image.to(weight.dtype),
            weight,
            ctx.bias_size,
            *ctx.shape,
            False,  # not transposed
            [0, 0],
            len(weight),
            ctx.needs_input_grad[:3],
        )
        return None if to_image is None else to_image.to(image.dtype), to_weight, to_bias, None


def speed_up_depthwise(model: nn.Module) -> None:
    """Let the depth-wise convolutions below a module learn quickly in bfloat16 on a CPU.

    Names and parameters stay, so the state dict is that of the ordinary network.

    Args:
        model: Changed in place.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            is_plain = type(child) in (nn.Conv2d, Conv2dSame)
            if is_plain and isinstance(child, nn.Conv2d) and _is_depthwise(child):
                parent.add_module(name, FastDepthwise(child))


def _is_depthwise(layer: nn.Conv2d) -> bool:
    is_plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return is_plain and 1 < layer.groups == layer.in_channels == layer.out_channels
