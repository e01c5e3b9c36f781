"""Colours of classes: those that a data set brings, and distinct ones for data sets without any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError
from segloom.types import IGNORE_INDEX

__all__ = [
    "BACKGROUNDS",
    "NO_CLASS",
    "Color",
    "background_of",
    "class_palette",
    "default_palette",
    "void_color",
]

Color: TypeAlias = Sequence[int]

BACKGROUNDS = frozenset({"background", "_background_", "__background__"})
"""Names, in lower case, of the class of pixels that belong to nothing."""

NO_CLASS = (222, 222, 222)
"""Of a pixel of none of the classes that may overlap."""


CLEAR = (
    *((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0)),
)
"""Seven colours that every kind of colour vision tells apart: M. Okabe and K. Ito, "Color universal
design", 2002, without black."""
VOIDS = ((0, 0, 0), (224, 224, 192), (128, 128, 128), (255, 0, 255))
"""Colours for pixels without a class, the first that is like no class; cream is that of VOC."""
ALIKE = 0.15
"""Distance in OKLab below which two colours may be taken for each other."""


def background_of(classes: Sequence[str]) -> int | None:
    """Return the id of the class called background, None if there is none."""
    found = (place for place, name in enumerate(classes) if name.lower() in BACKGROUNDS)
    return next(found, None)


def class_palette(classes: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    """Choose colours for classes: black for one called background, else `default_palette`.

    Raises:
        ConfigError: There are not 1 to 255 classes.
    """
    background = background_of(classes)
    if background is None:
        return default_palette(len(classes))
    colors = [*default_palette(max(len(classes) - 1, 1))][: len(classes) - 1]
    return (*colors[:background], (0, 0, 0), *colors[background:])


def void_color(palette: Sequence[Color] | NDArray[np.integer]) -> tuple[int, int, int]:
    """Choose a colour for void: black, or another one where a class is as dark.

    Args:
        palette: Colours that are in use.
    """
    used = _oklab(np.asarray(palette, np.uint8).reshape(-1, 3))
    places = _oklab(np.array(VOIDS, np.uint8))
    nearest = np.linalg.norm(places[:, None] - used[None], axis=-1).min(axis=1)
    clear = np.flatnonzero(nearest >= ALIKE)
    return VOIDS[int(clear[0] if clear.size else nearest.argmax())]


def default_palette(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """Choose well distinguishable colours; the first n are the same for every ``num_classes``.

    After those of `CLEAR`, each colour is the one farthest from black and from all before it in
    OKLab, a space whose distances follow the eye (B. Ottosson, "A perceptual color space for image
    processing", 2020, https://bottosson.github.io/posts/oklab/).

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
    chosen: list[tuple[int, int, int]] = [*CLEAR[:num_classes]]
    for place in _oklab(np.array(CLEAR, np.uint8)):
        distance = np.minimum(distance, np.linalg.norm(places - place, axis=1))
    while len(chosen) < num_classes:
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
