"""Averages over scales and mirror images with numpy: as `segloom.inference.tta`.

Resizing follows PyTorch: bilinear, centres of pixels on centres, and smoothed where an image
shrinks.

Axes: C image channels, K classes, H W image size, N places of an axis, T taps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_views", "resize_scores", "scale_image"]

Image = NDArray[np.uint8]
Scores = NDArray[np.float32]
Taps = tuple[NDArray[np.intp], NDArray[np.float32]]
"""Old places that every new place is made from, and their weights: ``(T, N)`` each."""
F32 = np.float32


def average_views(
    image: Image,
    logits: Callable[[Image], Scores],
    *,
    scales: Sequence[float],
    flip: bool,
    activate: Callable[[Scores], Scores] | None,
) -> Scores:
    """Average the scores of resized and left-right mirrored views.

    Logits are resized back, bilinearly, before they become anything else.

    Args:
        image: ``(H, W, C)``.
        logits: Turns such an image of any size into ``(K, h, w)`` of its size.
        scales: Of the image; 0.5 shows the network an image of half the height and width.
        flip: Take the mirror image of every scale as well.
        activate: Turns logits into what is averaged, such as probabilities; None leaves them.

    Returns:
        ``(K, H, W)``.
    """
    total: Scores | None = None
    for scores in _logits_of_views(image, logits, scales, flip):
        value = scores if activate is None else activate(scores)
        total = value if total is None else total + value
    if total is None:
        raise AssertionError("options have one scale at least")
    return total / np.float32(len(scales) * (2 if flip else 1))


def _logits_of_views(
    image: Image, logits: Callable[[Image], Scores], scales: Sequence[float], flip: bool
) -> Iterator[Scores]:
    height, width = image.shape[:2]
    for scale in scales:
        scaled = scale_image(image, scale)
        for mirrored in (False, True) if flip else (False,):
            scores = logits(scaled[:, ::-1])[..., ::-1] if mirrored else logits(scaled)
            if scores.shape[1:] != (height, width):
                scores = resize_scores(scores, (height, width))
            yield scores


def scale_image(image: Image, scale: float) -> Image:
    """Resize ``(H, W, C)``, smoothed where it shrinks, to at least one pixel.

    Bit for bit as PyTorch's antialiased bilinear resizing on a processor, whose order and rounding
    of the sums matter: a value halfway between two integers becomes one or the other.
    """
    if scale == 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    values = _combine(image.astype(F32), _smooth_taps(image.shape[1], width), axis=1)
    values = _combine(values, _smooth_taps(image.shape[0], height), axis=0)
    scaled: Image = values.round().clip(0, 255).astype(np.uint8)
    return scaled


def resize_scores(scores: Scores, size: tuple[int, int]) -> Scores:
    """Resize ``(K, h, w)`` to ``(K, H, W)``, bilinearly, without smoothing."""
    height, width = size
    rows = _combine(scores, _plain_taps(scores.shape[1], height), axis=1)
    return _combine(rows, _plain_taps(scores.shape[2], width), axis=2)


def _combine(values: Scores, taps: Taps, *, axis: int) -> Scores:
    """Sum the taps of an axis one by one, each product and sum rounded once, as processors do."""
    shape = [1] * values.ndim
    shape[axis] = -1
    total: Scores | None = None
    for place, weight in zip(*taps, strict=True):
        product = values.take(place, axis=axis).astype(np.float64) * weight.reshape(shape)
        total = (product if total is None else total + product).astype(F32)
    if total is None:
        raise AssertionError("an axis has one place at least")
    return total


def _smooth_taps(old: int, new: int) -> Taps:
    """Find the places that every new place is made from, and their weights, in float32."""
    step = F32(old) / F32(new)
    reach, inverse = (step, F32(1 / float(step))) if step >= 1 else (F32(1), F32(1))
    centre = (np.arange(new) + 0.5) * float(step)  # of the new places, in old ones
    centre = centre.astype(F32).astype(np.float64)
    first = np.maximum((centre - float(reach) + 0.5).astype(np.intp), 0)
    end = np.minimum((centre + float(reach) + 0.5).astype(np.intp), old)
    places = first + np.arange(int((end - first).max()))[:, None]
    distance = ((places - centre + 0.5) * float(inverse)).astype(F32)
    weights = np.where(places < end, np.maximum(F32(0), F32(1) - np.abs(distance)), F32(0))
    total = np.zeros(new, F32)
    for weight in weights:
        total = total + weight
    return places.clip(0, old - 1), (weights / total).astype(F32)


def _plain_taps(old: int, new: int) -> Taps:
    """Find the two nearest places of every new place, and their weights, in float32."""
    step = F32(old) / F32(new)
    place = np.maximum(step * (np.arange(new).astype(F32) + F32(0.5)) - F32(0.5), F32(0))
    first = np.minimum(place.astype(np.intp), old - 1)
    share = (place - first.astype(F32)).astype(F32)
    second = np.minimum(first + 1, old - 1)
    return np.stack([first, second]), np.stack([F32(1) - share, share])
