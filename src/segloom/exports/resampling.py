"""Smooth resampling of position tables as products with two small matrices, at every size.

Transformers resample their table of positions to the image, bicubically and with antialiasing.
OpenVINO leaves the antialiasing out without a word, so that smaller images get other positions.
Axes: B batch, C channels, h w size of the table, H W size of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from segloom.ops.sizes import larger_size

__all__ = ["MatrixResampling", "resample_bicubic"]

SHARPNESS = -0.5
"""Of the cubic kernel that PyTorch and Pillow take with antialiasing (Keys, 1981)."""


class MatrixResampling(TorchFunctionMode):
    """Inside the block, bicubic resizing with antialiasing is done by `resample_bicubic`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Answer in the place of ``func`` where it is that resizing."""
        options = kwargs or {}
        if func is F.interpolate and options.get("mode") == "bicubic" and options.get("antialias"):
            size = options["size"] if "size" in options else args[1]
            return resample_bicubic(args[0], tuple(size))
        return func(*args, **options)


def resample_bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize ``(B, C, h, w)`` to ``(B, C, H, W)``, bicubically, with antialiasing."""
    down, across = (_weights(old, new, x) for old, new in zip(x.shape[-2:], size, strict=True))
    return down @ x @ across.T


def _weights(old: int, new: int, like: Tensor) -> Tensor:
    """Weigh the places of an axis for every place of the result ``(new, old)``; rows sum to 1."""
    centre = (torch.arange(new, device=like.device, dtype=like.dtype) + 0.5) * old / new
    place = torch.arange(old, device=like.device, dtype=like.dtype) + 0.5
    # Where the axis shrinks, the kernel is as much wider.
    far = ((place - centre.unsqueeze(1)) * new / larger_size(old, new)).abs()
    near = ((SHARPNESS + 2) * far - (SHARPNESS + 3)) * far * far + 1
    beyond = SHARPNESS * (((far - 5) * far + 8) * far - 4)
    weights = torch.where(far < 1, near, torch.where(far < 2, beyond, torch.zeros_like(far)))
    return weights / weights.sum(dim=1, keepdim=True)
