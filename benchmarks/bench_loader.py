"""Batches for training: the mapped cache against decoding with Pillow into floats each time.

    python benchmarks/bench_loader.py [--root CAMVID]

Both give random crops of 320x384 in batches of 8 in the process itself: scale, crop, flip and, in
ours, colour jitter and blur besides. The usual loop also normalises, which ours leaves to the
batch. Without ``--root`` the images are generated scenes of CamVid's size, stored as PNG. Goal: 5.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from measure import interleave, median_ratio, write_result
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from segloom.config import AugmentConfig, DataConfig
from segloom.data import build_dataset, build_loader
from segloom.types import Record

GOAL = 5.0
HEIGHT, WIDTH = 320, 384
ZOOM = (1.0, 2.0)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PillowDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Decode, change and normalise a sample each time, as most training scripts do."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        record = self.records[index]
        image = Image.open(record.image).convert("RGB")
        mask = Image.open(record.mask)
        zoom = random.uniform(*ZOOM)
        size = (max(WIDTH, int(image.width * zoom)), max(HEIGHT, int(image.height * zoom)))
        image = image.resize(size, Image.Resampling.BILINEAR)
        mask = mask.resize(size, Image.Resampling.NEAREST)
        left, top = random.randint(0, size[0] - WIDTH), random.randint(0, size[1] - HEIGHT)
        box = (left, top, left + WIDTH, top + HEIGHT)
        image, mask = image.crop(box), mask.crop(box)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = np.asarray(image, np.float32) / 255
        pixels = (pixels - np.float32(MEAN)) / np.float32(DEVIATION)
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return planes, torch.from_numpy(np.asarray(mask).astype(np.int64))


def drain(loader: Iterable[object]) -> None:
    """Take every batch of an epoch."""
    for _ in loader:
        pass


def main() -> int:
    """Time both loaders in turns; return 0 if the goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="CamVid; without it scenes are generated")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        config = DataConfig(
            name="camvid" if arguments.root else "scenes",
            root=arguments.root,
            num_scenes=(arguments.images, 0, 0),
            scene_size=(360, 480),
            crop=(HEIGHT, WIDTH),
            augment=AugmentConfig(scale=ZOOM),
            cache_dir=Path(folder),
        )
        dataset = build_dataset(config, "train", augment=True)
        dataset.records = dataset.records[: arguments.images]
        ours = build_loader(dataset, batch_size=8, shuffle=True)
        usual = DataLoader(PillowDataset(dataset.records), batch_size=8, shuffle=True)
        timings = interleave(
            {"usual": lambda: drain(usual), "segloom": lambda: drain(ours)},
            rounds=arguments.rounds,
            clock=time.process_time,
        )
    ratio = median_ratio(timings, "usual", "segloom")
    rates = {name: round(len(dataset) / timing["median_s"], 1) for name, timing in timings.items()}
    for name, rate in rates.items():
        print(f"{name:<10}{rate:>9.1f} images per second of one core")
    print(f"{ratio:.1f} times as fast as the usual loader (goal: {GOAL:g})")
    result = {
        "case": {
            "data": config.name,
            "images": len(dataset),
            "size": [360, 480],
            "crop": [HEIGHT, WIDTH],
            "stored_as": dataset.records[0].image.suffix,
        },
        "images_per_second": rates,
        "ratio": ratio,
        "goal": GOAL,
        "reached": ratio >= GOAL,
        "clock": "processor seconds",
        "timings": timings,
    }
    print(write_result("loader", result))
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
