"""The picture under construction: colours and class ids are painted together, far things first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BICYCLIST",
    "BUILDING",
    "CAR",
    "FENCE",
    "PAVEMENT",
    "PEDESTRIAN",
    "POLE",
    "ROAD",
    "SIGN",
    "SKY",
    "TREE",
    "VOID",
    "Canvas",
    "Colour",
]

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE = range(6)
SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(6, 11)
VOID = 255

Colour = tuple[float, float, float]
"""RGB, 0 to 255."""

_BITS = 4
"""Points are given to the rasteriser in sixteenths of a pixel."""
_FAR_OUT = 4000.0
"""Pixels; points further outside than this are moved in, since the rasteriser's integers end."""


def _fixed(points: ArrayLike) -> NDArray[np.int32]:
    scaled = np.asarray(points, np.float64) * 2**_BITS
    bounded = np.minimum(np.maximum(scaled, -_FAR_OUT * 2**_BITS), _FAR_OUT * 2**_BITS)
    fixed: NDArray[np.int32] = np.rint(bounded).astype(np.int32)
    return fixed


@dataclass
class Canvas:
    """Colours and labels of one scene; every method paints over what is there."""

    image: NDArray[np.uint8]
    """RGB ``(H, W, 3)``."""
    labels: NDArray[np.uint8]
    """Class ids and void ``(H, W)``."""
    haze: Colour
    """Colour that everything fades to with distance."""
    sight: float
    """Metres after which 63 % of a colour is haze."""

    def faded(self, colour: Sequence[float], z: float) -> Colour:
        """The colour as seen from ``z`` metres away."""
        share = 1 - exp(-z / self.sight)
        red, green, blue = (
            min(max(own + share * (mist - own), 0.0), 255.0)
            for own, mist in zip(colour, self.haze, strict=True)
        )
        return red, green, blue

    def polygon(
        self, points: ArrayLike, colour: Sequence[float] | None, z: float, label: int | None = None
    ) -> None:
        """Fill a polygon ``(N, 2)`` of image points; colour or label None leaves that as it is."""
        fixed = _fixed(points)
        if colour is not None:
            cv2.fillPoly(self.image, [fixed], self.faded(colour, z), cv2.LINE_AA, _BITS)
        if label is not None:
            cv2.fillPoly(self.labels, [fixed], label, cv2.LINE_8, _BITS)

    def hull(self, points: ArrayLike, colour: Sequence[float], z: float, label: int) -> None:
        """Fill the convex hull of image points ``(N, 2)``."""
        corners = cv2.convexHull(np.asarray(points, np.float32))[:, 0]
        self.polygon(corners, colour, z, label)

    def ellipse(
        self,
        centre: Sequence[float],
        axes: Sequence[float],
        colour: Sequence[float],
        z: float,
        label: int | None = None,
    ) -> None:
        """Fill an upright ellipse; ``axes`` are half its width and half its height in pixels."""
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        ring = np.stack([np.cos(angle) * axes[0], np.sin(angle) * axes[1]], -1)
        self.polygon(ring + np.asarray(centre), colour, z, label)

    def line(
        self,
        points: ArrayLike,
        width: float,
        colour: Sequence[float],
        z: float,
        label: int | None = None,
    ) -> None:
        """Draw an open line ``(N, 2)``, ``width`` pixels thick, at least one."""
        fixed, thick = [_fixed(points)], max(1, round(width))
        shade = self.faded(colour, z)
        cv2.polylines(self.image, fixed, False, shade, thick, cv2.LINE_AA, _BITS)
        if label is not None:
            cv2.polylines(self.labels, fixed, False, label, thick, cv2.LINE_8, _BITS)

    def blend(
        self, top: int, left: int, colours: NDArray[np.float32], alpha: NDArray[np.float32]
    ) -> None:
        """Mix ``colours (h, w, 3)`` 0..255 in by ``alpha (h, w)`` 0..1, at a corner, clipped."""
        rows, columns, inner = self._clip(top, left, alpha.shape)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        share = alpha[inner][..., None]
        old = self.image[rows, columns].astype(np.float32)
        self.image[rows, columns] = old + share * (np.clip(colours[inner], 0, 255) - old)

    def stamp(self, top: int, left: int, area: NDArray[np.bool_], label: int) -> None:
        """Set the label where ``area (h, w)`` is true, at a corner, clipped."""
        rows, columns, inner = self._clip(top, left, area.shape)
        if rows.start < rows.stop and columns.start < columns.stop:
            self.labels[rows, columns][area[inner]] = label

    def _clip(
        self, top: int, left: int, shape: tuple[int, ...]
    ) -> tuple[slice, slice, tuple[slice, slice]]:
        height, width = self.labels.shape
        rows = slice(max(top, 0), min(top + shape[0], height))
        columns = slice(max(left, 0), min(left + shape[1], width))
        inner_rows = slice(rows.start - top, rows.stop - top)
        inner_columns = slice(columns.start - left, columns.stop - left)
        return rows, columns, (inner_rows, inner_columns)

    def panel(
        self,
        texture: NDArray[np.uint8],
        corners: ArrayLike,
        z: float,
        label: int,
        cover: NDArray[np.uint8] | None = None,
    ) -> None:
        """Lay a texture ``(h, w, 3)`` onto a quadrilateral, in perspective.

        Args:
            texture: RGB.
            corners: Image points ``(4, 2)``: upper left, upper right, lower right, lower left of
                the texture.
            z: Distance for the haze, metres.
            label: Class of the whole quadrilateral, holes included, as CamVid's annotators did.
            cover: Opaque where 255, see-through where 0, ``(h, w)``.
        """
        quad = np.clip(np.asarray(corners, np.float64), -_FAR_OUT, _FAR_OUT)
        height, width = self.labels.shape
        left, top = np.maximum(np.floor(quad.min(0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(quad.max(0)).astype(int) + 1, (width, height))
        if right <= left or bottom <= top:
            return
        rows, columns = texture.shape[:2]
        source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
        local = (quad - (left, top)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(source, local)
        size = (int(right - left), int(bottom - top))
        warped = cv2.warpPerspective(
            texture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        area = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillPoly(area, [_fixed(local)], 255, cv2.LINE_8, _BITS)
        inside = area > 0
        shown = inside
        if cover is not None:
            seen = cv2.warpPerspective(cover, matrix, size, flags=cv2.INTER_LINEAR)
            shown = inside & (seen > 127)
        share = 1 - exp(-z / self.sight)
        mist = np.multiply(self.haze, share).astype(np.float32)
        colours = warped[shown].astype(np.float32) * np.float32(1 - share) + mist
        self.image[top:bottom, left:right][shown] = colours
        self.labels[top:bottom, left:right][inside] = label
