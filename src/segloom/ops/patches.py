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
    # Not -(-length // patch): exporters round the division of a negative number towards zero.
    return length // patch if remainder == "drop" else (length + patch - 1) // patch


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
    fill = "constant" if remainder == "drop" else "replicate"
    maps = _resize(maps, (rows * patch, columns * patch), fill)
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
    return _resize(maps, (height, width))


def _resize(maps: Tensor, size: tuple[int, int], mode: str = "constant") -> Tensor:
    """Cut or pad at the bottom and at the right until the map has this size."""
    height, width = maps.shape[-2:]
    if not torch.compiler.is_compiling():
        if size == (height, width):
            return maps
        if size[0] <= height and size[1] <= width:
            return maps[..., : size[0], : size[1]]
    # Negative padding cuts. A slice would cost no copy, but it writes into an exported program
    # whether this size had anything to cut.
    return F.pad(maps, (0, size[1] - width, 0, size[0] - height), mode=mode)
