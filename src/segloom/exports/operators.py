"""Operators that export rightly at every size, in the place of some that do not.

Exporters write the size of their example into what follows from it in Python: the windows of an
adaptive pooling, and the padding "same" of networks that come from TensorFlow. Each swap gives the
same numbers up to rounding.

Axes: B batch, C channels, H W size, k bins a side.
"""

from __future__ import annotations

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.models.hiera import MaskUnitAttention
from torch import Tensor, nn

from segloom.models.model import SegmentationModel

__all__ = ["MatrixPool", "constant_padding", "swap_operators"]


class MatrixPool(nn.Module):
    """Adaptive average pooling as a product with two small matrices.

    Bin o of k averages the places from ``floor(o n / k)`` up to ``ceil((o + 1) n / k)`` of an axis
    of n, as `torch.nn.AdaptiveAvgPool2d` does; whichever n is later.

    Args:
        bins: Rows and columns of the result.
    """

    def __init__(self, bins: tuple[int, int]) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """Average ``(B, C, H, W)`` into ``(B, C, *bins)``."""
        down, across = (
            _shares(number, size, x) for number, size in zip(self.bins, x.shape[-2:], strict=True)
        )
        return down @ x @ across.T


def _shares(bins: int, size: int, like: Tensor) -> Tensor:
    """Weigh the places of an axis for every bin ``(bins, size)``; each row sums to 1."""
    number = torch.arange(bins, device=like.device).unsqueeze(1)
    place = torch.arange(size, device=like.device)
    # floor(number * size / bins) <= place < (number + 1) * size / bins, without a division.
    inside = (place * bins >= number * size - number * size % bins) & (
        place * bins < (number + 1) * size
    )
    weights = inside.to(like.dtype)
    return weights / weights.sum(dim=1, keepdim=True)


def swap_operators(model: SegmentationModel) -> int:
    """Swap, in place, what exports wrongly or not at all.

    Returns:
        The number of modules swapped.
    """
    swaps: dict[str, nn.Module] = {}
    divisible = _with_whole_steps(model)
    for name, module in model.named_modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            bins = module.output_size
            rows, columns = bins if isinstance(bins, tuple) else (bins, bins)
            if rows and columns and (rows, columns) != (1, 1):
                swaps[name] = MatrixPool((rows, columns))
        elif isinstance(module, Conv2dSame) and module in divisible:
            swaps[name] = constant_padding(module)
        elif isinstance(module, MaskUnitAttention):
            module.fused_attn = False  # the exporter knows no attention with an axis of windows
    for name, module in swaps.items():
        model.set_submodule(name, module)
    return len(swaps)


def _with_whole_steps(model: SegmentationModel) -> set[nn.Module]:
    """Find the convolutions that step over their map without a rest, at every size.

    The network pads an image to a multiple of its own. Where the smallest such image leaves no
    rest, a larger one, of which every map is a multiple, leaves none either.
    """
    rests: dict[nn.Module, bool] = {}

    def watch(module: Conv2dSame, inputs: tuple[Tensor, ...]) -> None:
        sides = zip(inputs[0].shape[-2:], module.stride, strict=True)
        rests[module] = rests.get(module, False) or any(side % step for side, step in sides)

    same = [module for module in model.modules() if isinstance(module, Conv2dSame)]
    handles = [module.register_forward_pre_hook(watch) for module in same]
    try:
        if same:
            with torch.no_grad():
                model(torch.zeros(1, model.input_channels, 1, 1))
    finally:
        for handle in handles:
            handle.remove()
    return {module for module, has_rest in rests.items() if not has_rest}


def constant_padding(module: Conv2dSame) -> nn.Module:
    """Return a convolution whose padding is a constant, since its steps leave no rest."""
    totals = [
        max(dilation * (side - 1) + 1 - step, 0)
        for side, step, dilation in zip(
            module.kernel_size, module.stride, module.dilation, strict=True
        )
    ]
    (top, bottom), (left, right) = ((total // 2, total - total // 2) for total in totals)
    plain = nn.Conv2d.__new__(nn.Conv2d)
    plain.__dict__.update(module.__dict__)  # parameters and options are those of the module
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), plain)
