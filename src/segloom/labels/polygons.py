"""From pixels to polygons and back: outlines along the edges of pixels, with holes.

Coordinates are in pixels from the outer corner of the first pixel, so that the centre of the first
is (0.5, 0.5). Drawn again by the rule that a pixel belongs to a polygon if its centre does, an
outline that is not simplified gives exactly the pixels that it was traced from.

Axes: H height, W width, P corners.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from segloom.errors import SegloomError

__all__ = ["Polygon", "trace_polygons"]

Ring = NDArray[np.float64]

STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
"""x and y of the directions east, south, west and north."""


@dataclass(frozen=True)
class Polygon:
    """One connected object."""

    exterior: Ring
    """``(P, 2)``, x and y of the corners, clockwise on the screen; the last joins the first."""
    holes: tuple[Ring, ...]
    """As the exterior, anticlockwise."""
    area: int
    """Pixels of the object, before any simplification."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the exterior, in pixels."""
        (left, top), (right, bottom) = self.exterior.min(0), self.exterior.max(0)
        return float(left), float(top), float(right - left), float(bottom - top)

    @property
    def ring(self) -> Ring:
        """Exterior and holes as one ring ``(P, 2)``, for formats that have no holes.

        A hole is reached over a cut from the nearest corner and left over the same cut, which
        encloses no area.
        """
        ring = self.exterior
        for hole in self.holes:
            distance = np.abs(ring[:, None] - hole[None]).sum(-1)  # (P, P of the hole)
            near, start = np.unravel_index(int(distance.argmin()), distance.shape)
            turned = np.roll(hole, -int(start), axis=0)
            detour = np.concatenate([ring[near : near + 1], turned, turned[:1]])
            ring = np.concatenate([ring[:near], detour, ring[near:]])
        return ring


def trace_polygons(
    mask: NDArray[np.bool_], *, min_area: int = 1, tolerance: float = 0.0
) -> list[Polygon]:
    """Outline the objects of a mask: pixels that touch along an edge belong together.

    Args:
        mask: bool ``(H, W)``.
        min_area: Smallest object and smallest hole that is kept, in pixels.
        tolerance: Largest distance in pixels by which an outline is simplified (Douglas and
            Peucker, 1973); 0 keeps every corner.

    Returns:
        The objects, from the top down.
    """
    cv2 = _opencv()
    number, components, facts, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask, np.uint8), connectivity=4
    )
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for component, ring in _rings(mask, components):
        if _signed_area(ring) > 0:
            exteriors[component] = _simplify(ring, tolerance)
        elif -_signed_area(ring) >= min_area:
            simple = _simplify(ring, tolerance)
            holes.setdefault(component, []).extend([simple] if len(simple) >= 3 else [])
    areas = facts[:, cv2.CC_STAT_AREA]
    return [
        Polygon(exteriors[k], tuple(holes.get(k, ())), int(areas[k]))
        for k in range(1, number)
        if areas[k] >= min_area and len(exteriors[k]) >= 3
    ]


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise SegloomError(
            "outlines need OpenCV, which is not installed; install opencv-python-headless."
        ) from error
    return cv2


def _rings(mask: NDArray[np.bool_], components: NDArray[np.int32]) -> list[tuple[int, Ring]]:
    """Link the edges between object and background to rings, each with its component.

    Every edge runs with the object at its right hand. Where two objects touch at a corner, a ring
    turns right and so stays with its own pixel.
    """
    width = mask.shape[1]
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))  # where the edge of each direction starts
    starts, directions, owners = [], [], []
    for direction, (neighbour, (dx, dy)) in enumerate(zip(neighbours, corners, strict=True)):
        rows, columns = np.nonzero(inside & ~neighbour)
        starts.append((rows + dy) * (width + 1) + columns + dx)
        directions.append(np.full(len(rows), direction))
        owners.append(components[rows, columns])
    start, heading = np.concatenate(starts), np.concatenate(directions)
    owner = np.concatenate(owners)
    end = start + STEPS[heading, 0] + STEPS[heading, 1] * (width + 1)
    order = np.argsort(key := start * 4 + heading)
    following = np.full(len(key), -1)
    for turn in (3, 0, 1):  # left, straight on, right: the last one that is there wins
        wanted = end * 4 + (heading + turn) % 4
        place = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1) if len(key) else order
        found = key[order][place] == wanted if len(key) else np.zeros(0, bool)
        following[found] = order[place[found]]
    rings: list[tuple[int, Ring]] = []
    links, turns = following.tolist(), heading.tolist()
    is_done = np.zeros(len(key), bool)
    for first in order.tolist():  # from the top down
        if is_done[first]:
            continue
        corner_edges, edge = [], first
        while not is_done[edge]:
            is_done[edge] = True
            if turns[links[edge]] != turns[edge]:
                corner_edges.append(links[edge])
            edge = links[edge]
        points = np.stack(np.divmod(start[corner_edges], width + 1)[::-1], axis=1)
        rings.append((int(owner[first]), points.astype(np.float64)))
    return rings


def _signed_area(ring: Ring) -> float:
    """Area by the shoelace formula; positive if clockwise on the screen."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _simplify(ring: Ring, tolerance: float) -> Ring:
    if tolerance <= 0:
        return ring
    simple = _opencv().approxPolyDP(ring.astype(np.float32)[:, None], tolerance, closed=True)
    return np.asarray(simple, np.float64).reshape(-1, 2)
