"""What tests of exports share: classes, and images that need no file."""

from __future__ import annotations

import numpy as np

from segloom.exports.pictures import Example
from segloom.types import LabelSet

LABELS = LabelSet(("ground", "square"), ((0, 0, 0), (255, 200, 0)))


class Photographs:
    """Random images with random ground truth."""

    source = "random numbers"

    def __init__(self, count: int = 2, channels: int = 3, num_classes: int = 5) -> None:
        self.count, self.channels, self.num_classes = count, channels, num_classes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        generator = np.random.default_rng(index)
        pixels = generator.integers(0, 256, (70, 90, self.channels), dtype=np.uint8)
        truth = generator.integers(0, self.num_classes, (70, 90), dtype=np.uint8)
        return Example(f"{index}", pixels, truth)
