"""Hiera for images of any size: positions are resampled, windows follow the image.

timm's Hiera writes the number of windows and of positions at its own image size into the module.
Here both follow from the image; at the model's own size the result is timm's.
Paper: Ryali et al., "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles",
ICML 2023; positions of windows: Bolya et al., "Window Attention is Bugged", ICLR 2024.
Axes: B batch, C channels, H W size in tokens (4 pixels each), N tokens, k poolings left.
"""

from __future__ import annotations

from typing import Any

from segmentation_models_pytorch.encoders.timm_universal import TimmUniversalEncoder
from torch import Tensor
from torch.nn import functional as F

__all__ = ["HieraEncoder", "roll", "unroll"]


def unroll(tokens: Tensor, poolings: int) -> Tensor:
    """Bring the tokens of every 2x2 square next to each other, k times.

    Args:
        tokens: ``(B, H, W, C)``, H and W multiples of ``2 ** k``.
        poolings: k.

    Returns:
        ``(B, N, C)``, of which the first axis of ``view(B, 4, N // 4, C)`` is the place in a
        square of the next pooling.
    """
    batch, height, width, channels = tokens.shape
    for _ in range(poolings):
        height, width = height // 2, width // 2
        tokens = tokens.reshape(-1, height, 2, width, 2, channels)
        tokens = tokens.permute(0, 2, 4, 1, 3, 5)  # (B', 2, 2, H / 2, W / 2, C)
        tokens = tokens.reshape(-1, height, width, channels)
    return tokens.reshape(batch, -1, channels)


def roll(tokens: Tensor, poolings: int, height: int, width: int) -> Tensor:
    """Undo `unroll`: ``(B, N, C)`` to ``(B, C, H, W)``."""
    batch, _, channels = tokens.shape
    side = 2**poolings
    squares = tokens.reshape(batch, *[2] * (2 * poolings), height // side, width // side, channels)
    rows = [2 * step + 1 for step in reversed(range(poolings))]  # the first split is the finest
    columns = [axis + 1 for axis in rows]
    last = 2 * poolings + 1
    order = [0, last + 2, last, *rows, last + 1, *columns]
    return squares.permute(order).reshape(batch, channels, height, width)


class HieraEncoder(TimmUniversalEncoder):  # type: ignore[misc]  # mypy does not read SMP
    """SMP's encoder around timm's Hiera, for images of any size."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map ``(B, C, 4 H, 4 W)`` to levels 0 to 5; level 1 has no channels."""
        hiera = self.model.model
        tokens = hiera.patch_embed(x)  # (B, N, C)
        height, width = x.shape[-2] // 4, x.shape[-1] // 4
        tokens = tokens + _positions(hiera, height, width)
        poolings = len(hiera.unroll.schedule)
        tokens = unroll(tokens.unflatten(1, (height, width)), poolings)
        maps = []
        for number, block in enumerate(hiera.blocks):
            tokens = block(tokens)
            if number in hiera.stage_ends:
                left, _ = hiera.reroll.schedule[number]
                shift = poolings - len(left)
                maps.append(roll(tokens, len(left), height >> shift, width >> shift))
        kept = [maps[index] for index in self.model.out_indices]
        batch, _, full_height, full_width = x.shape
        return [x, x.new_empty(batch, 0, full_height // 2, full_width // 2), *kept]


def _positions(hiera: Any, height: int, width: int) -> Tensor:
    """Resample the position table to ``(1, N, C)``."""
    table: Tensor = hiera.pos_embed
    if hiera.pos_embed_win is None:
        rows, columns = hiera.tokens_spatial_shape
        table = table.reshape(1, rows, columns, -1).permute(0, 3, 1, 2)
    # Of the size itself, resampling is the identity.
    table = F.interpolate(table, size=(height, width), mode="bicubic", antialias=True)
    if hiera.pos_embed_win is not None:
        window = hiera.pos_embed_win
        table = table + window.tile(1, 1, height // window.shape[-2], width // window.shape[-1])
    return table.flatten(2).transpose(1, 2)
