"""Outlines of objects as COCO's JSON writes them: polygons and run lengths to pixels.

A pixel belongs to a polygon if its centre does: coordinates are in pixels from the outer edge of
the first, so that the centre of the first is 0.5. pycocotools draws polygons on a grid five times
as fine and may differ by a pixel along slanting edges. Run lengths, plain or packed into text, mean
exactly the same pixels as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.errors import DataError

__all__ = ["draw_outline", "fill_polygon", "read_runs", "unpack_runs"]

MAX_COORDINATE = 1e7  # pixels
MAX_CROSSINGS = 20_000_000
"""Crossings of edges and rows of one polygon: no drawn outline has a hundredth of them."""


def draw_outline(segmentation: object, height: int, width: int, where: str) -> NDArray[np.bool_]:
    """Draw an object: the union of polygons ``[[x, y, x, y, ...], ...]``, or run lengths.

    Parts of one or two points, which annotation tools leave behind, hold no pixel: beside a polygon
    they are left out.

    Args:
        segmentation: As the JSON holds it.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        where: Names the object in errors.

    Returns:
        bool ``(H, W)``.

    Raises:
        DataError: It is something else, or has no part in the image.
    """
    if isinstance(segmentation, dict):
        return read_runs(segmentation, height, width, where)
    if not isinstance(segmentation, list) or not segmentation:
        raise DataError(
            f"{where} has no outline (segmentation: {segmentation!r:.60}), perhaps only a box; "
            "outline it or leave it out."
        )
    parts = [_points(polygon, where) for polygon in segmentation]
    polygons = [points for points in parts if len(points) >= 3]
    if not polygons:
        raise _no_polygon(segmentation[0], where)
    pixels = np.zeros((height, width), bool)
    for points in polygons:
        rows = np.clip(points[:, 1], 0, height)
        if np.abs(rows - np.roll(rows, 1)).sum() > MAX_CROSSINGS:
            raise DataError(f"{where} has a polygon of {len(points)} points that is too long.")
        pixels |= fill_polygon(points, height, width)
    if all(_is_outside(points, height, width) for points in polygons):
        raise DataError(
            f"{where} lies wholly outside the image of {width} x {height} pixels; use the image "
            "that was labelled, or delete the shape."
        )
    return pixels


def _is_outside(points: NDArray[np.float64], height: int, width: int) -> bool:
    """Return whether all corners ``(P, 2)`` lie beyond one and the same side of the image.

    On the side itself is not beyond: tools leave slivers there.
    """
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return bool(right < 0 or bottom < 0 or left > width or top > height)


def _points(polygon: object, where: str) -> NDArray[np.float64]:
    """Return the corners ``(P, 2)`` of a part of an outline."""
    try:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
    except (ValueError, TypeError, OverflowError) as error:
        raise _no_polygon(polygon, where) from error
    if not (np.abs(points) <= MAX_COORDINATE).all():
        raise _no_polygon(polygon, where)
    return points


def _no_polygon(polygon: object, where: str) -> DataError:
    return DataError(
        f"{where} has a polygon that is none ({polygon!r:.60}); it needs three points x, y or more."
    )


def fill_polygon(points: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """Find the pixels whose centre lies inside a polygon, by the even-odd rule.

    Args:
        points: ``(P, 2)``, x and y of the corners in order; the last joins the first.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """
    x, y = points.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    # Rows whose centre r + 0.5 an edge crosses: min(y) <= r + 0.5 < max(y).
    low = np.clip(np.ceil(np.minimum(y, next_y) - 0.5), 0, height).astype(np.int64)
    high = np.clip(np.ceil(np.maximum(y, next_y) - 0.5), 0, height).astype(np.int64)
    number = high - low
    edge = np.repeat(np.arange(len(x)), number)
    row = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number) + low[edge]
    slope = (next_x - x)[edge] / (next_y - y)[edge]
    crossing = x[edge] + (row + 0.5 - y[edge]) * slope
    # From the first pixel centre at or right of a crossing on, inside and outside change places.
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    changes = np.bincount(row * (width + 1) + column, minlength=height * (width + 1))
    inside = np.cumsum(changes.reshape(height, width + 1), axis=1) % 2 == 1
    return np.ascontiguousarray(inside[:, :width])


def read_runs(runs: dict[str, Any], height: int, width: int, where: str) -> NDArray[np.bool_]:
    """Draw run lengths ``{"size": [H, W], "counts": [...] or text}``, column by column.

    The runs are of background and object in turn, beginning with background.

    Raises:
        DataError: They are damaged or of another size.
    """
    counts = runs.get("counts")
    if runs.get("size") != [height, width]:
        raise DataError(
            f"{where} has run lengths of the size {runs.get('size')!r:.40}, not "
            f"{[height, width]}; export them again."
        )
    try:
        lengths = unpack_runs(counts) if isinstance(counts, str) else list(counts or ())
        is_whole = all(type(length) is int and length >= 0 for length in lengths)
    except (ValueError, TypeError):
        is_whole = False
    if not is_whole or sum(lengths) != height * width:
        raise DataError(
            f"{where} has run lengths that do not fill {height} x {width} pixels; export it anew."
        )
    is_object = np.arange(len(lengths)) % 2 == 1
    return np.repeat(is_object, lengths).reshape(width, height).T


def unpack_runs(text: str) -> list[int]:
    """Unpack run lengths from COCO's text: 5 bits per character, from the lowest.

    Bit 6 says that more follow, bit 5 of the last is the sign; from the fourth run on the number is
    the difference to the run before the last.

    Raises:
        ValueError: It is no such text.
    """
    lengths: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        bits = letter - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(text[:40])
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError(text[-40:])
    return lengths
