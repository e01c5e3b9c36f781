"""Windows over an image that blend into each other: where they lie and how their pixels count.

Every window is weighted with a Gaussian that falls off from its centre (F. Isensee et al.,
"nnU-Net", Nature Methods 2021, sliding-window inference; the same standard deviation, an eighth of
the window). Differences: the weights of the windows over a pixel sum to 1, so nothing is divided
at the end; beyond three standard deviations, where a window has seen little of a pixel's
surroundings, it counts only where no other window does; and towards the border of the image, where
nothing is left to see, it does not fall off.

``average`` instead of ``smooth`` is the usual protocol, as in the code of SFNet (X. Li et al., ECCV
2020): windows at a fixed step, the last one moved back to the border, and the plain mean of all
that cover a pixel. Difference: every pixel is divided by the number of its own windows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segloom.types import Blend

__all__ = ["FALLBACK_OVERLAP", "WHOLE_LIMIT", "fallback_window", "window_starts", "window_weights"]

SIGMA = 1 / 8  # of the window; nnU-Net
CUT = 3.0  # standard deviations
TAIL = 1e-6  # weight beyond the cut, times the Gaussian

WHOLE_LIMIT = 2**22
"""Images of more pixels than this (2048 x 2048) are seen through a window, since the memory of a
network grows with the image: about 0.4 GB per million pixels for a Unet with ResNet-18."""
FALLBACK_WINDOW = 1024  # pixels, of an image that is too large to be seen whole
FALLBACK_OVERLAP = 0.25
BAND_BYTES = 2**30  # largest strip of scores that the fallback keeps


def fallback_window(width: int, num_classes: int) -> tuple[int, int]:
    """Choose the window for an image that is too large to be seen whole: 1024 pixels or less.

    Args:
        width: Of the image, in pixels.
        num_classes: Scores of a pixel.
    """
    side = FALLBACK_WINDOW
    while side > 256 and side * width * num_classes * 4 > BAND_BYTES:
        side //= 2
    return side, side


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


def window_weights(
    size: int, window: int, starts: list[int], blend: Blend = "smooth"
) -> NDArray[np.float32]:
    """Weigh the pixels of every window along an axis.

    Returns:
        ``(len(starts), window)``; over the windows that cover a pixel they sum to 1.
    """
    offset = (np.arange(window) + 0.5) / window - 0.5
    distance = np.tile(offset / SIGMA, (len(starts), 1))
    distance[0] = distance[0].clip(min=0)  # the border of the image is no edge of a window
    distance[-1] = distance[-1].clip(max=0)
    if blend == "average":
        distance[:] = 0
    gauss = np.exp(-0.5 * distance**2)
    gauss = np.where(np.abs(distance) <= CUT, gauss, gauss * TAIL)
    total = np.zeros(size)
    for start, weights in zip(starts, gauss, strict=True):
        total[start : start + window] += weights
    shares = [total[start : start + window] for start in starts]
    weights_of_all: NDArray[np.float32] = (gauss / np.stack(shares)).astype(np.float32)
    return weights_of_all
