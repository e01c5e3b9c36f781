"""The pinhole camera of a generated scene.

World axes in metres: x to the right of the road's middle, y up from the road, z forward.
Image axes in pixels: u to the right, v down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NEAR", "Camera"]

NEAR = 1.5
"""Metres; nothing nearer than this is drawn."""


@dataclass(frozen=True)
class Camera:
    """A camera that looks along a street which may bend away from it."""

    height: int
    """Rows of the image."""
    width: int
    """Columns of the image."""
    focal: float
    """Focal length in pixels."""
    horizon: float
    """Row of the horizon."""
    middle: float
    """Column of the optical axis."""
    eye: float
    """Height above the road, metres."""
    offset: float
    """Where on the road the camera stands, metres right of its middle."""
    turn: float
    """Sideways metres of the street per metre forward (yaw)."""
    bend: float
    """Sideways metres of the street per square metre forward (curvature)."""

    def sideways(self, z: ArrayLike) -> NDArray[np.float64]:
        """How far the street's middle has moved from the optical axis at depth ``z``, metres."""
        depth = np.asarray(z, np.float64)
        return self.turn * depth + self.bend * depth * depth - self.offset

    def scale(self, z: float) -> float:
        """Pixels per metre at depth ``z``."""
        return self.focal / max(z, NEAR)

    def project(self, x: ArrayLike, y: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
        """Image points ``(N, 2)``, columns u and v, of world points given by their coordinates."""
        wide, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
        depth = np.maximum(np.asarray(z, np.float64), NEAR)
        u = self.middle + self.focal * (wide + self.sideways(depth)) / depth
        v = self.horizon + self.focal * (self.eye - up) / depth
        points = np.empty((*np.broadcast(u, v).shape, 2))
        points[..., 0], points[..., 1] = u, v
        return points

    def ground(self) -> tuple[int, NDArray[np.float32], NDArray[np.float32]]:
        """Road-plane coordinates of every pixel below the horizon.

        Returns:
            The first row below the horizon; x of every pixel ``(rows, width)``; z of every row
            ``(rows, 1)``, both float32, in metres.
        """
        first = max(int(np.ceil(self.horizon + 0.6)), 0)
        rows = np.arange(first, self.height, dtype=np.float32)[:, None]
        z = (self.focal * self.eye / (rows - np.float32(self.horizon))).astype(np.float32)
        columns = np.arange(self.width, dtype=np.float32)[None] - np.float32(self.middle)
        x = columns * z / np.float32(self.focal) - self.sideways(z).astype(np.float32)
        return first, x, z
