"""Folders of images and label maps as users have them, and what a check found in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from segloom.config import RunConfig
from segloom.data import build_dataset
from segloom.data_check import DataReport
from segloom.types import IGNORE_INDEX

NUM_FILES = 12
"""Enough for every split of a hash-divided folder to get some."""


def photo(path: Path, size=(24, 20), seed=0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed += sum(path.as_posix().encode())  # no two images alike
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def blocks(values, size=(24, 20)) -> np.ndarray:
    """A map of equal upright stripes of the values."""
    return np.asarray(values)[np.arange(size[1]) * len(values) // size[1]][None].repeat(size[0], 0)


def label(path: Path, values, size=(24, 20), palette=None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = blocks(values, size)
    image = Image.fromarray(pixels.astype(np.uint16 if pixels.max() > 255 else np.uint8))
    if palette is not None:
        image.putpalette(palette)
    image.save(path)


def folder(root: Path, values, *, images="images/{}.jpg", masks="masks/{}.png", **options) -> Path:
    for number in range(NUM_FILES):
        photo(root / images.format(f"f{number}"))
        label(root / masks.format(f"f{number}"), values, **options)
    return root


def kinds(report: DataReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def finding(report: DataReport, kind: str):
    return next(found for found in report.findings if found.kind == kind)


def read_back(report: DataReport, splits=("train", "val", "test")) -> dict[str, list[np.ndarray]]:
    """Every mask of the data set that the printed lines describe."""
    config = RunConfig.model_validate(yaml.safe_load(report.yaml)).data
    config = config.model_copy(update={"cache": False})
    masks: dict[str, list[np.ndarray]] = {}
    for split in splits:
        dataset = build_dataset(config, split)
        masks[split] = [np.asarray(dataset[index]["mask"]) for index in range(len(dataset))]
        allowed = {*range(len(dataset.classes)), IGNORE_INDEX}
        assert all(set(np.unique(mask)) <= allowed for mask in masks[split])
    return masks


def all_ids(report: DataReport, **options) -> set[int]:
    masks = read_back(report, **options)
    assert sum(len(found) for found in masks.values()) == sum(
        count.pairs for count in report.splits.values()
    )
    return {int(value) for found in masks.values() for mask in found for value in np.unique(mask)}
