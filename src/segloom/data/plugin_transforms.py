"""Transforms of plug-ins: functions of an image, its label map and a random generator."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segloom.config.model import parse_enhancement
from segloom.data.planes import Planes
from segloom.errors import ConfigError, UnknownNameError
from segloom.plugins import find_plugin, plugin_places

__all__ = ["Transform", "change", "plugin_transforms"]


class Transform(Protocol):
    """A random change of a training sample that has its final size."""

    def __call__(
        self, image: NDArray[np.uint8], mask: NDArray[np.integer], generator: np.random.Generator, /
    ) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
        """Change ``image`` uint8 ``(H, W, C)`` and ``mask`` ``(H, W)``; draw from ``generator``."""


def plugin_transforms(texts: tuple[str, ...]) -> tuple[tuple[str, Transform], ...]:
    """Build the transforms of plug-ins.

    Args:
        texts: Each "name" or "name:option=value,option=value".

    Raises:
        UnknownNameError: No plug-in brings a transform of this name.
        ConfigError: It cannot be loaded, or refuses its options.
    """
    return tuple((text, _build(*parse_enhancement(text))) for text in texts)


@lru_cache(maxsize=32)
def _built(name: str, options: str) -> Transform:
    build = find_plugin("transforms", name)
    if build is None:
        raise UnknownNameError("transform", name, plugin_places("transforms"))
    try:
        transform: Transform = build(**json.loads(options))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the transform {name} refuses its options: {error}.") from error
    return transform


def _build(name: str, options: dict[str, object]) -> Transform:
    return _built(name, json.dumps(options, sort_keys=True))


def change(
    planes: Planes, name: str, transform: Transform, generator: np.random.Generator
) -> Planes:
    """Apply a transform of a plug-in to a sample.

    Raises:
        ConfigError: It gives another kind of array, or another size of the label map.
    """
    image, mask = transform(planes.image, planes.mask, generator)
    is_alike = image.dtype == np.uint8 and image.shape[2:] == planes.image.shape[2:]
    if not is_alike or mask.dtype != planes.mask.dtype or mask.shape != planes.mask.shape:
        raise ConfigError(
            f"the transform {name} gave an image {image.dtype} {image.shape} and a mask "
            f"{mask.dtype} {mask.shape}; it must keep {planes.image.dtype} {planes.image.shape} "
            f"and {planes.mask.dtype} {planes.mask.shape}."
        )
    return planes._replace(image=np.ascontiguousarray(image), mask=np.ascontiguousarray(mask))
