"""Colours of classes: those that a data set brings, and distinct ones for data sets without any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError
from segloom.label_bits import sets
from segloom.types import IGNORE_INDEX, LabelSet

__all__ = ["NO_CLASS", "Color", "default_palette", "num_values", "value_palette"]

Color: TypeAlias = Sequence[int]

NO_CLASS = (222, 222, 222)
"""Of a pixel of none of the classes that may overlap."""


def default_palette(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """Choose well distinguishable colours; the first n are the same for every ``num_classes``.

    Each colour is the one farthest from black (void) and from all before it in OKLab, a space
    whose distances follow the eye (B. Ottosson, "A perceptual color space for image processing",
    2020, https://bottosson.github.io/posts/oklab/).

    Raises:
        ConfigError: ``num_classes`` is not 1 to 255.
    """
    if not 1 <= num_classes <= IGNORE_INDEX:
        raise ConfigError(f"a palette has 1 to 255 colours, not {num_classes}.")
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    places = _oklab(candidates)
    is_clear = (places[:, 0] > 0.35) & (places[:, 0] < 0.95)  # neither near black nor near white
    candidates, places = candidates[is_clear], places[is_clear]
    distance = np.linalg.norm(places, axis=1)  # black is the origin
    chosen: list[tuple[int, int, int]] = []
    for _ in range(num_classes):
        best = int(distance.argmax())
        red, green, blue = candidates[best].tolist()
        chosen.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(places - places[best], axis=1))
    return tuple(chosen)


def _oklab(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Convert sRGB ``(N, 3)`` to OKLab ``(N, 3)``; the matrices are those of the reference."""
    value = colors / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    lab: NDArray[np.float64] = np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )
    return lab


def num_values(labels: LabelSet) -> int:
    """Count the values of a label map below void: classes, or sets of classes that overlap."""
    number = len(labels.classes)
    return 2**number if labels.is_multilabel else number


def value_palette(labels: LabelSet) -> Sequence[Color]:
    """Give the colour of every value of a label map: for bits, the mean of their classes'."""
    if not labels.is_multilabel:
        return labels.palette
    members = sets(len(labels.classes))  # (2**K, K)
    number = members.sum(axis=1, keepdims=True)
    mean = (members @ np.array(labels.palette) / np.maximum(number, 1)).round().astype(int)
    return [NO_CLASS, *map(tuple, mean[1:].tolist())]
