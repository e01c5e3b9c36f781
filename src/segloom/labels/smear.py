"""Label maps whose values were smeared by lossy compression or by resizing with interpolation.

Inside an area of one class such a file still holds the value that was drawn; at outlines it holds
values in between. *Flat* pixels, which differ little from their eight neighbours, therefore tell
the true values, and the others are read by the nearest of those that lie close by: a value between
two classes never makes a third.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_GAP", "find_peaks", "flat_pixels", "read_by_nearest"]

MIN_GAP = 16
"""Values that lie closer than this cannot be told apart once they are smeared."""
LOSSY_SPAN = 8
"""Grey levels by which neighbours in an area of one value differ after lossy compression."""
REACH = 7
"""Side, in pixels, of the neighbourhood whose flat values a pixel may take."""
MIN_IN_BETWEEN = 4
"""Fewer different values than this are undeclared classes rather than a smear."""


def flat_pixels(pixels: NDArray[np.integer], *, is_lossy: bool = False) -> NDArray[np.bool_]:
    """Tell which pixels ``(H, W)`` of ``(H, W)`` or ``(H, W, 3)`` are like all their neighbours."""
    import cv2

    kernel = np.ones((3, 3), np.uint8)
    values = pixels if pixels.dtype in (np.uint8, np.uint16) else pixels.astype(np.float64)
    span = cv2.dilate(values, kernel).astype(np.int64) - cv2.erode(values, kernel)
    span = span.max(axis=2) if span.ndim == 3 else span
    flat: NDArray[np.bool_] = span <= (LOSSY_SPAN if is_lossy else 0)
    return flat


def find_peaks(counts: dict[int, int]) -> list[int] | None:
    """Find the true values among those of flat pixels of lossy files.

    Args:
        counts: Grey value of a flat pixel to its number.

    Returns:
        The most frequent value of every group, in order; None if groups cannot be told apart: they
        lie too close, spread too far, or hold two frequent values.
    """
    total = sum(counts.values())
    kept = sorted(value for value, number in counts.items() if number >= 0.0002 * total)
    groups = _close_together(kept)
    if not all(_has_one_peak(group, counts, is_of_two=len(groups) == 2) for group in groups):
        return None
    peaks = [max(group, key=counts.__getitem__) for group in groups]
    return peaks if _smallest_gap(np.array(peaks)) >= MIN_GAP else None


def _has_one_peak(group: list[int], counts: dict[int, int], *, is_of_two: bool) -> bool:
    """Return whether one value of a group is frequent and all lie close to each other."""
    if group[-1] - group[0] > 2 * LOSSY_SPAN:
        return False
    # Compression clips at black and white, so near them any value may be frequent.
    if is_of_two and (group[-1] <= 2 * LOSSY_SPAN or group[0] >= 239):
        return True
    first, *rest = sorted((counts[value] for value in group), reverse=True)
    return not rest or rest[0] <= 0.5 * first


def _smallest_gap(values: NDArray[np.integer]) -> int:
    """Return the least difference of two values, or the largest channel's of two colours; 0 of one.

    Args:
        values: ``(K,)`` or ``(K, 3)``.
    """
    gaps = (np.abs(one - other).max() for one, other in combinations(values, 2))
    return int(min(gaps, default=0))


def _close_together(values: Iterable[int]) -> list[list[int]]:
    """Divide sorted values where two neighbours are farther apart than compression moves one."""
    groups: list[list[int]] = []
    for value in values:
        if groups and value - groups[-1][-1] <= LOSSY_SPAN:
            groups[-1].append(value)
        else:
            groups.append([value])
    return groups


def read_by_nearest(
    pixels: NDArray[np.integer], values: Sequence[int] | NDArray[np.integer], *, is_lossy: bool
) -> NDArray[np.intp] | None:
    """Give every pixel of a smeared label map the nearest of the values that were drawn.

    Args:
        pixels: ``(H, W)`` grey values or ``(H, W, 3)`` colours.
        values: ``(K,)`` or ``(K, 3)``, what was drawn.
        is_lossy: The file is of a format that changes values inside areas too.

    Returns:
        ``(H, W)``, places in ``values``; None if the file is not a smear of these values: an area
        has another one, they lie too close, or nothing lies between them.
    """
    drawn = np.asarray(values, np.int64)
    distances = np.stack([_distance(pixels, value) for value in drawn])  # (K, H, W)
    gap = _smallest_gap(drawn)
    if gap < MIN_GAP:
        return None
    nearest: NDArray[np.intp] = distances.argmin(axis=0)
    near = np.take_along_axis(distances, nearest[None], 0)[0]
    farthest, most = (min(LOSSY_SPAN * 2, gap // 3), 0.01) if is_lossy else (0, 0.001)
    is_known = near <= farthest
    flat = flat_pixels(pixels, is_lossy=is_lossy)
    if not flat.any() or (flat & ~is_known).sum() > most * flat.sum():
        return None
    if not is_lossy and len(np.unique(near[~is_known])) < MIN_IN_BETWEEN:
        return None
    if len(drawn) == 2:  # between two values lies no third
        return nearest
    return _nearest_close_by(distances, nearest, flat & is_known)


def _distance(pixels: NDArray[np.integer], value: NDArray[np.integer]) -> NDArray[np.integer]:
    distance = np.abs(pixels.astype(np.int32) - value.astype(np.int32))
    return distance.max(axis=2) if distance.ndim == 3 else distance


def _nearest_close_by(
    distances: NDArray[np.integer], nearest: NDArray[np.intp], is_sure: NDArray[np.bool_]
) -> NDArray[np.intp]:
    import cv2

    far = int(distances.max()) + 1
    limited = np.empty_like(distances)
    kernel = np.ones((REACH, REACH), np.uint8)
    for place, distance in enumerate(distances):
        seen = cv2.dilate((is_sure & (nearest == place)).astype(np.uint8), kernel)
        limited[place] = np.where(seen > 0, distance, far)
    chosen = limited.argmin(axis=0)
    lonely = limited.min(axis=0) == far
    return np.where(is_sure | lonely, nearest, chosen)
