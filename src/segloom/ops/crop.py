"""Two ways to keep the upper left part of a map, with the same result.

Axes: B batch, C channels, H W size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["crop_by_padding", "crop_by_slices"]


def crop_by_padding(x: Tensor, height: int, width: int) -> Tensor:
    """Crop ``(B, C, H, W)`` by a negative padding, which puts no guard on the size into a trace."""
    return F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))


def crop_by_slices(x: Tensor, height: int, width: int) -> Tensor:
    """Crop ``(B, C, H, W)`` by slices, as files of other runtimes need it.

    OpenVINO derives the least size of a map from the factors it was enlarged by, holds a padding's
    result to the same, and refuses an image that is smaller.
    """
    return x[..., :height, :width]
