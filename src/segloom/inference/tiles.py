"""Sliding-window inference whose windows blend into each other, in bounded memory.

Where windows lie and how their pixels count is in `segloom.images.windows`. Rows are given out as
soon as no later window touches them, so that memory grows with the window and the width of the
image, not with its height.

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from segloom.images.windows import window_starts, window_weights
from segloom.types import Blend

__all__ = ["blend_windows"]


def blend_windows(
    image: Tensor,
    score: Callable[[Tensor], Tensor],
    *,
    window: tuple[int, int],
    overlap: float = 0.5,
    blend: Blend = "smooth",
    batch_size: int = 1,
) -> Iterator[tuple[int, Tensor]]:
    """Score an image window by window and give out its rows from top to bottom.

    Args:
        image: ``(1, C, H, W)``.
        score: Turns ``(B, C, h, w)`` into float ``(B, K, h, w)``.
        window: Height and width in pixels; a side longer than the image's is cut to it.
        overlap: Least share of a window that it has in common with the next, 0 <= overlap < 1.
        blend: How windows are placed and weighted.
        batch_size: Windows that are scored together. On a CPU 1 is the fastest.

    Yields:
        The first row, and float32 scores ``(K, rows, W)`` from there on; together they are all
        rows, each once. The tensor holds them only until the next one is asked for.
    """
    height, width = image.shape[-2:]
    rows, columns = min(window[0], height), min(window[1], width)
    tops = window_starts(height, rows, overlap, blend)
    lefts = window_starts(width, columns, overlap, blend)
    down = torch.from_numpy(window_weights(height, rows, tops, blend)).to(image.device)
    across = torch.from_numpy(window_weights(width, columns, lefts, blend)).to(image.device)
    band = torch.empty(0)
    for index, top in enumerate(tops):
        row = _score_row(image, score, top, lefts, (rows, columns), batch_size)
        for left, weight, scores in zip(lefts, across, row, strict=True):
            if band.numel() == 0:
                # Classes last: what runs over them, above all argmax, then needs no copy.
                band = scores.new_zeros(rows, width, scores.shape[0], dtype=torch.float32)
            # In place: no map of the whole image, no map of counts.
            shares = (down[index][:, None] * weight)[..., None]
            band[:, left : left + columns].addcmul_(scores.permute(1, 2, 0), shares)
        done = (tops[index + 1] if index + 1 < len(tops) else height) - top
        yield top, band[:done].permute(2, 0, 1)
        for first in range(done, rows, done):  # pieces that do not overlap move up one by one
            piece = band[first : first + done]
            band[first - done : first - done + len(piece)] = piece
        band[max(rows - done, 0) :] = 0


def _score_row(
    image: Tensor,
    score: Callable[[Tensor], Tensor],
    top: int,
    lefts: list[int],
    window: tuple[int, int],
    batch_size: int,
) -> Iterator[Tensor]:
    """Score the windows of one row of windows; yields ``(K, h, w)`` from left to right."""
    rows, columns = window
    strip = image[..., top : top + rows, :]
    for first in range(0, len(lefts), batch_size):
        parts = [strip[..., left : left + columns] for left in lefts[first : first + batch_size]]
        yield from score(torch.cat(parts)).float()
