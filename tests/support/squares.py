"""Bright squares on a dark noisy ground: the smallest data set that can be learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 32


def write_squares(root: Path, counts: dict[str, int], *, void_rows: int = 2) -> None:
    """Write squares (class 1) on a noisy ground (class 0), with rows of void."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for index in range(count):
            mask = np.zeros((SIZE, SIZE), np.uint8)
            top, left = rng.integers(0, SIZE // 2, 2)
            mask[top : top + SIZE // 2, left : left + SIZE // 2] = 1
            mask[:void_rows] = 255
            image = rng.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
            image += (mask == 1)[..., None].astype(np.uint8) * 120
            Image.fromarray(image).save(root / split / "images" / f"{index}.png")
            Image.fromarray(mask).save(root / split / "masks" / f"{index}.png")
