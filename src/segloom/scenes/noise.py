"""Multi-octave noise for the surfaces of generated scenes.

One small bank of tileable noise is made per process; scenes cut random windows out of it.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["TILE", "cloud_tile", "cut_noise", "grain_tile"]

TILE = 256
"""Rows and columns of a noise tile; it repeats without a seam."""


def _octaves(seed: int, first: int, last: int, fall: float) -> NDArray[np.float32]:
    """Sum of smooth random grids of 2^first to 2^last cells, amplitude times ``fall`` per octave.

    Returns:
        float32 ``(TILE, TILE)``, mean 0, standard deviation 1.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((TILE, TILE), np.float32)
    for octave in range(first, last + 1):
        cells = 2**octave
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        step = TILE // cells
        wrapped = np.pad(grid, 2, mode="wrap")  # so that the tile repeats without a seam
        size = (cells + 4) * step
        smooth = cv2.resize(wrapped, (size, size), interpolation=cv2.INTER_CUBIC)
        total += fall ** (octave - first) * smooth[2 * step : -2 * step, 2 * step : -2 * step]
    total -= total.mean()
    scaled: NDArray[np.float32] = total / total.std()
    return scaled


@lru_cache(maxsize=1)
def cloud_tile() -> NDArray[np.float32]:
    """Coarse to fine noise, for stains, clouds and foliage: float32 ``(TILE, TILE)``, std 1."""
    return _octaves(11, 2, 7, 0.72)


@lru_cache(maxsize=1)
def grain_tile() -> NDArray[np.float32]:
    """Fine noise only, for asphalt and plaster: float32 ``(TILE, TILE)``, std 1."""
    return _octaves(12, 6, 8, 0.9)


def cut_noise(
    tile: NDArray[np.float32], rng: np.random.Generator, height: int, width: int, zoom: float = 1.0
) -> NDArray[np.float32]:
    """Cut a random window out of a tile, ``zoom`` of its cells to the pixel.

    Returns:
        float32 ``(height, width)``.
    """
    rows, columns = int(np.ceil(height * zoom)) + 1, int(np.ceil(width * zoom)) + 1
    top = int(rng.integers(max(TILE - rows, 0) + 1))
    left = int(rng.integers(max(TILE - columns, 0) + 1))
    window = tile[top : top + rows, left : left + columns]
    if rows > TILE or columns > TILE:
        window = np.take(tile, range(top, top + rows), axis=0, mode="wrap")
        window = np.take(window, range(left, left + columns), axis=1, mode="wrap")
    if zoom == 1:
        return window[:height, :width].copy()
    resized: NDArray[np.float32] = cv2.resize(
        window, (width, height), interpolation=cv2.INTER_LINEAR
    )
    return resized
