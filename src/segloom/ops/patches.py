"""Cut maps into square patches without overlap, and put them back, by reshaping alone.

Patches are counted row by row over the grid, pixels row by row inside a patch: the order of
`torch.nn.Unfold` with equal kernel and stride. Where the patch side does not divide a side of the
map, ``remainder`` says what becomes of the strip at the right or bottom:

- ``"pad"`` keeps it: the map is grown with copies of its last row and column until the patch side
  divides it, and `from_patches` cuts the copies off again. Every pixel is covered.
- ``"drop"`` leaves it out, as `torch.nn.Unfold` does, and `from_patches` fills it with zeros, as
  `torch.nn.Fold` does.

Axes: B batch, K classes or channels, H W size in pixels, N patches, Q pixels of a patch.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Remainder", "from_patches", "num_patches", "to_patches"]

Remainder = Literal["pad", "drop"]
"""What becomes of pixels outside the last whole patch."""


def num_patches(length: int, patch: int, remainder: Remainder = "pad") -> int:
    """Count the patches of ``patch`` pixels along a side of ``length`` pixels."""
    return length // patch if remainder == "drop" else -(-length // patch)


def to_patches(maps: Tensor, patch: int, remainder: Remainder = "pad") -> Tensor:
    """Cut maps into patches.

    Args:
        maps: ``(B, K, H, W)``, H and W at least 1; any dtype, but floating point where
            ``remainder`` is ``"pad"``.
        patch: Side of a patch in pixels, at least 1.
        remainder: What becomes of the strip that fills no whole patch; see the module.

    Returns:
        ``(B, K, N, Q)`` with ``Q = patch ** 2``, a copy.
    """
    batch, channels, height, width = maps.shape
    rows, columns = num_patches(height, patch, remainder), num_patches(width, patch, remainder)
    if remainder == "drop":
        maps = maps[..., : rows * patch, : columns * patch]
    else:
        maps = _grow(maps, rows * patch - height, columns * patch - width)
    cells = maps.reshape(batch, channels, rows, patch, columns, patch)
    return cells.transpose(3, 4).reshape(batch, channels, rows * columns, patch * patch)


def from_patches(
    patches: Tensor, size: tuple[int, int], patch: int, remainder: Remainder = "pad"
) -> Tensor:
    """Put patches back where `to_patches` took them from.

    Args:
        patches: ``(B, K, N, Q)``, any dtype.
        size: Height and width of the map in pixels.
        patch: Side of a patch in pixels.
        remainder: As given to `to_patches`.

    Returns:
        ``(B, K, H, W)``; equal to the cut map, except that ``"drop"`` leaves zeros in the strip.
    """
    (height, width), (batch, channels) = size, patches.shape[:2]
    rows, columns = num_patches(height, patch, remainder), num_patches(width, patch, remainder)
    cells = patches.reshape(batch, channels, rows, columns, patch, patch)
    maps = cells.transpose(3, 4).reshape(batch, channels, rows * patch, columns * patch)
    if remainder == "pad":
        return maps[..., :height, :width]
    return F.pad(maps, (0, width - columns * patch, 0, height - rows * patch))


def _grow(maps: Tensor, bottom: int, right: int) -> Tensor:
    """Append copies of the last row and column."""
    # A traced size may be any number, so only a real one may choose the short way.
    if not torch.compiler.is_compiling() and bottom == right == 0:
        return maps
    return F.pad(maps, (0, right, 0, bottom), mode="replicate")
