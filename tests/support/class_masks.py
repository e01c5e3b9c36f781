"""Small data sets of classes that overlap: a disc and a bar over noise, a mask file per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("bar", "disc")


def shapes(height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw both classes ``(2, H, W)``: an upright bar, and a disc that it crosses."""
    row, column = np.mgrid[:height, :width]
    middle = rng.integers(width // 3, 2 * width // 3)
    bar = abs(column - middle) < width // 8
    disc = np.hypot(row - rng.integers(height // 3, 2 * height // 3), column - middle) < height / 4
    return np.stack([bar, disc])


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_split(
    root: Path, split: str, number: int, *, size: tuple[int, int] = (32, 40), bright: int = 255
) -> dict[str, NDArray[np.bool_]]:
    """Write a split; the last image has no bar, and no file for it.

    Returns:
        Both classes ``(2, H, W)`` by the stem of the image.
    """
    rng = np.random.default_rng(sum(split.encode()))
    truth = {}
    for index in range(number):
        height, width = size[0] + 3 * (index % 2), size[1]
        present = shapes(height, width, rng)
        present[0] &= index < number - 1
        image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        image[..., 0] += 120 * present[0].astype(np.uint8)
        image[..., 1] += 120 * present[1].astype(np.uint8)
        save(root / split / "images" / f"p{index}.png", image)
        for name, mask in zip(CLASSES, present, strict=True):
            (root / split / "masks" / name).mkdir(parents=True, exist_ok=True)
            if mask.any():
                save(
                    root / split / "masks" / name / f"p{index}.png",
                    (mask * bright).astype(np.uint8),
                )
        truth[f"p{index}"] = present
    return truth
