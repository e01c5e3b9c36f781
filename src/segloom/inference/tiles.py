"""Sliding-window inference whose windows blend into each other, in bounded memory.

Every window is weighted with a Gaussian that falls off from its centre (F. Isensee et al.,
"nnU-Net", Nature Methods 2021, sliding-window inference; the same standard deviation, an eighth of
the window). Differences: the weights of the windows over a pixel sum to 1, so nothing is divided
at the end; beyond three standard deviations, where a window has seen little of a pixel's
surroundings, it counts only where no other window does; towards the border of the image, where
nothing is left to see, it does not fall off; and rows are given out as soon as no
later window touches them, so that memory grows with the window and the width of the image, not
with its height.

``average`` instead of ``smooth`` is the usual protocol, as in the code of SFNet (X. Li et al., ECCV
2020): windows at a fixed step, the last one moved back to the border, and the plain mean of all
that cover a pixel. Difference: every pixel is divided by the number of its own windows.

Axes: B batch, C image channels, K classes, H W image size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from segloom.config.evaluation import Blend

__all__ = ["blend_windows", "window_starts", "window_weights"]

SIGMA = 1 / 8  # of the window; nnU-Net
CUT = 3.0  # standard deviations
TAIL = 1e-6  # weight beyond the cut, times the Gaussian


def window_starts(size: int, window: int, overlap: float, blend: Blend = "smooth") -> list[int]:
    """Place windows of one size along an axis, the first at 0, the last at the end.

    Args:
        size: Pixels of the axis.
        window: Pixels of a window, at most ``size``.
        overlap: Least share of a window that it has in common with the next, 0 <= overlap < 1.
        blend: ``smooth`` spaces them evenly, ``average`` at a fixed step but for the last.
    """
    if blend == "average":
        step = max(1, math.ceil(window * (1 - overlap)))
        return [min(start, size - window) for start in range(0, size - window + step, step)]
    step = max(1, int(window * (1 - overlap)))
    gaps = -(-(size - window) // step)
    return [round(index * (size - window) / max(gaps, 1)) for index in range(gaps + 1)]


def window_weights(size: int, window: int, starts: list[int], blend: Blend = "smooth") -> Tensor:
    """Weigh the pixels of every window along an axis.

    Returns:
        float32 ``(len(starts), window)``; over the windows that cover a pixel they sum to 1.
    """
    offset = (torch.arange(window, dtype=torch.float64) + 0.5) / window - 0.5
    distance = (offset / SIGMA).expand(len(starts), window).clone()
    distance[0].clamp_(min=0)  # the border of the image is no edge of a window: all is seen
    distance[-1].clamp_(max=0)
    if blend == "average":
        distance.zero_()
    gauss = torch.exp(-0.5 * distance.square())
    gauss = torch.where(distance.abs() <= CUT, gauss, gauss * TAIL)
    total = torch.zeros(size, dtype=torch.float64)
    for start, weights in zip(starts, gauss, strict=True):
        total[start : start + window] += weights
    shares = [total[start : start + window] for start in starts]
    return (gauss / torch.stack(shares)).float()


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
    down = window_weights(height, rows, tops, blend).to(image.device)
    across = window_weights(width, columns, lefts, blend).to(image.device)
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
