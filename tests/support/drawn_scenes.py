"""Noisy pictures of a disc and a block, whose label maps a test saves in its own way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Labels", "Save", "scene", "write"]

Labels = NDArray[np.uint8]
Save = Callable[[Labels, Path], None]
SPLITS = ("train",) * 4 + ("val", "test")


def scene(number: int) -> tuple[Labels, Labels]:
    """A disc (1) and a block (2) on ground (0), with noise."""
    rng = np.random.default_rng(number)
    labels = np.zeros((48, 64), np.uint8)
    row, column = np.ogrid[:48, :64]
    labels[(row - rng.integers(14, 22)) ** 2 + (column - rng.integers(14, 50)) ** 2 < 100] = 1
    labels[36:, :30] = 2
    colors = np.array([[40, 90, 40], [220, 60, 60], [60, 60, 220]])[labels]
    return (colors + rng.normal(0, 12, colors.shape)).clip(0, 255).astype(np.uint8), labels


def write(root: Path, save: Save, *, two: bool = False, name: str = "im{}") -> dict[str, Labels]:
    """Write six images and their label maps.

    Returns:
        Label map by the name of the image.
    """
    truth = {}
    for number, split in enumerate(SPLITS):
        image, labels = scene(number)
        labels = (labels == 1).astype(np.uint8) if two else labels
        stem = name.format(number)
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / split / "images" / f"{stem}.png")
        save(labels, root / split / "masks" / stem)
        truth[stem] = labels
    return truth
