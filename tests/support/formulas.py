"""Layers written out in NumPy's float64, pixel by pixel: what ours are held against everywhere.

Nothing here calls torch for arithmetic, so a fault in the code under test cannot hide in its check.
Arrays are ``(C, H, W)``: one image, channels first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.signal import correlate2d

__all__ = [
    "Array",
    "Layers",
    "convolve",
    "cut",
    "fill",
    "filter_channels",
    "normalize",
    "pool_max",
    "pool_mean",
    "put_back",
    "resize_centres",
    "resize_corners",
    "sample_along",
]

Array = np.ndarray[Any, np.dtype[np.float64]]


def fill(module: Any, seed: int = 0) -> Layers:
    """Fill every tensor of a module with drawn numbers, in float64 and evaluation mode.

    Returns:
        The numbers by key, variances positive.
    """
    import torch

    rng = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for key, tensor in module.double().eval().state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        drawn = rng.normal(0, 0.5, tuple(tensor.shape))
        values[key] = 0.5 + np.abs(drawn) if key.endswith("running_var") else drawn
    module.load_state_dict({k: torch.from_numpy(v) for k, v in values.items()}, strict=False)
    return Layers(values)


class Layers:
    """The numbers of a module, applied by the formulas of this file."""

    def __init__(self, values: Mapping[str, Array]) -> None:
        self.values = values

    def __getitem__(self, key: str) -> Array:
        return self.values[key]

    def convolve(self, x: Array, key: str) -> Array:
        """Apply the convolution stored under ``key``."""
        return convolve(x, self[f"{key}.weight"], self.values.get(f"{key}.bias"))

    def normalize(self, x: Array, key: str) -> Array:
        """Apply the batch norm stored under ``key``."""
        names = ("running_mean", "running_var", "weight", "bias")
        return normalize(x, *(self[f"{key}.{name}"] for name in names))

    def stack(self, x: Array, key: str, *, first: int = 0) -> Array:
        """Apply a convolution and a batch norm, numbered from ``first`` below ``key``."""
        return self.normalize(self.convolve(x, f"{key}.{first}"), f"{key}.{first + 1}")


def convolve(
    x: Array, weight: Array, bias: Array | None = None, padding: int | None = None
) -> Array:
    """Correlate with ``weight`` ``(D, C, k, k)``, zeros around; by default the size is kept."""
    side = weight.shape[-1]
    border = side // 2 if padding is None else padding
    padded = np.pad(x, ((0, 0), (border, border), (border, border)))
    height, width = (length - side + 1 for length in padded.shape[1:])
    out = np.zeros((len(weight), height, width))
    for i in range(side):
        for j in range(side):
            out += np.tensordot(weight[:, :, i, j], padded[:, i : i + height, j : j + width], 1)
    return out if bias is None else out + bias[:, None, None]


def cut(plane: Array, side: int, *, keep_rest: bool) -> Array:
    """List the ``(N, side * side)`` patches of a plane, row by row.

    Args:
        plane: ``(H, W)``.
        side: Of a patch.
        keep_rest: Repeat the last row and column until the patches cover all; else leave out what
            fills no patch.
    """
    height, width = plane.shape
    up = (lambda length: -(-length // side)) if keep_rest else (lambda length: length // side)
    return np.stack(
        [
            [
                plane[min(row * side + i, height - 1), min(column * side + j, width - 1)]
                for i in range(side)
                for j in range(side)
            ]
            for row in range(up(height))
            for column in range(up(width))
        ]
    )


def put_back(patches: Array, size: tuple[int, int], side: int, *, keep_rest: bool) -> Array:
    """Put patches where `cut` took them from: ``(H, W)``, zeros where none lies."""
    plane = np.zeros(size)
    columns = -(-size[1] // side) if keep_rest else size[1] // side
    for number, patch in enumerate(patches):
        top, left = number // columns * side, number % columns * side
        for place, value in enumerate(patch):
            row, column = top + place // side, left + place % side
            if row < size[0] and column < size[1]:
                plane[row, column] = value
    return plane


def pool_mean(x: Array, side: int) -> Array:
    """Average ``(C, H, W)`` over blocks, which fill it."""
    channels, height, width = x.shape
    return x.reshape(channels, height // side, side, width // side, side).mean((2, 4))


def pool_max(x: Array, *, round_up: bool) -> Array:
    """Take the largest of every 2x2 block of ``(C, H, W)``; a last odd row or column if asked."""
    if round_up:
        odd = [(0, length % 2) for length in x.shape[1:]]
        x = np.pad(x, ((0, 0), *odd), constant_values=-np.inf)
    height, width = (length // 2 * 2 for length in x.shape[1:])
    return x[:, :height, :width].reshape(len(x), height // 2, 2, width // 2, 2).max((2, 4))


def resize_centres(x: Array, size: tuple[int, int]) -> Array:
    """Resize bilinearly, pixels being squares; beyond the outer centres the border is repeated."""
    out = np.zeros((len(x), *size))
    for i in range(size[0]):
        for j in range(size[1]):
            row = (i + 0.5) * x.shape[1] / size[0] - 0.5
            column = (j + 0.5) * x.shape[2] / size[1] - 0.5
            inside = np.clip([row, column], 0, [x.shape[1] - 1, x.shape[2] - 1])
            out[:, i, j] = read_between(x, *inside)
    return out


def filter_channels(x: Array, weight: Array) -> Array:
    """Correlate every channel with its own kernel of ``(C, 1, k, k)``."""
    return np.stack([correlate2d(x[c], weight[c, 0], mode="same") for c in range(len(x))])


def normalize(x: Array, mean: Array, variance: Array, weight: Array, bias: Array) -> Array:
    """Normalise as a batch norm does in evaluation mode."""
    scale = weight / np.sqrt(variance + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]


def read_between(x: Array, row: float, column: float) -> Array:
    """Interpolate ``(C,)`` between the four pixels around a place; zeros outside the map."""
    top, left = int(np.floor(row)), int(np.floor(column))
    total = np.zeros(len(x))
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]:
                total += x[:, i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


def resize_corners(x: Array, size: tuple[int, int]) -> Array:
    """Resize bilinearly, corners on corners."""
    return sample_along(x, np.zeros((2, *size)))


def sample_along(x: Array, flow: Array) -> Array:
    """Look up, for every place of a flow field, the place that the flow points to.

    A place of the ``(2, H, W)`` field (right, down) stands at ``-1 + 2 j / (W - 1)`` of the map's
    width from -1 to 1, and a flow of one unit moves it by ``1 / W`` there.
    """
    height, width = flow.shape[1:]
    out = np.zeros((len(x), height, width))
    for i in range(height):
        for j in range(width):
            across = -1 + 2 * j / max(width - 1, 1) + flow[0, i, j] / width
            down = -1 + 2 * i / max(height - 1, 1) + flow[1, i, j] / height
            row, column = (down + 1) / 2 * (x.shape[1] - 1), (across + 1) / 2 * (x.shape[2] - 1)
            out[:, i, j] = read_between(x, row, column)
    return out
