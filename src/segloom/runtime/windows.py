"""Sliding windows with numpy: as `segloom.inference.tiles`, whose answers it gives.

Axes: C image channels, K classes, H W image size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from segloom.images.windows import window_starts, window_weights
from segloom.types import Blend

__all__ = ["blend_windows"]

Image = NDArray[np.uint8]
Scores = NDArray[np.float32]


def blend_windows(
    image: Image,
    score: Callable[[Image], Scores],
    *,
    window: tuple[int, int],
    overlap: float,
    blend: Blend,
) -> Iterator[tuple[int, Scores]]:
    """Score an image window by window and give out its rows from top to bottom.

    Args:
        image: ``(H, W, C)``.
        score: Turns ``(h, w, C)`` into ``(K, h, w)``.
        window: Height and width in pixels; a side longer than the image's is cut to it.
        overlap: Least share of a window that it has in common with the next, 0 <= overlap < 1.
        blend: How windows are placed and weighted.

    Yields:
        The first row, and scores ``(K, rows, W)`` from there on; together they are all rows, each
        once. The array holds them only until the next one is asked for.
    """
    height, width = image.shape[:2]
    rows, columns = min(window[0], height), min(window[1], width)
    tops = window_starts(height, rows, overlap, blend)
    lefts = window_starts(width, columns, overlap, blend)
    down = window_weights(height, rows, tops, blend)
    across = window_weights(width, columns, lefts, blend)
    band = np.empty(0, np.float32)
    for index, top in enumerate(tops):
        for left, weights in zip(lefts, across, strict=True):
            part = np.ascontiguousarray(image[top : top + rows, left : left + columns])
            scores = score(part)
            if band.size == 0:
                band = np.zeros((scores.shape[0], rows, width), np.float32)
            # In place: no map of the whole image, no map of counts.
            band[..., left : left + columns] += scores * (down[index][:, None] * weights)
        done = (tops[index + 1] if index + 1 < len(tops) else height) - top
        yield top, band[:, :done]
        kept = rows - done
        band[:, :kept] = band[:, done:].copy()  # they may overlap
        band[:, kept:] = 0
