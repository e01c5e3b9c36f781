"""Runs of known scores, made by formula, for tests of what is said about comparisons."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.results import Measured
from segloom.metrics import Resampling

GROUP = Group("streets", "unet", "resnet18")
CLASSES = ("road", "tree")
COST = {
    "parameters": 10_000_000,
    "multiply_adds": 2_000_000_000,
    "latency_seconds": 0.02,
    "train_seconds": 600.0,
    "train_memory_gib": 1.5,
    "test_seconds": 5.0,
}
RESAMPLES = 200


def measured(
    variant: str,
    seed: int,
    miou: float,
    *,
    group: Group = GROUP,
    classes: tuple[str, ...] = CLASSES,
    small: float | None = 0.2,
    boundary: float | None = 0.3,
    spread: float = 0.01,
    cost: float | None = 1.0,
    **options: Any,
) -> Measured:
    """Make a run; the choice of the images moves all scores of all runs nearly alike.

    Args:
        variant: Kind of the run.
        seed: Its seed.
        miou: mIoU, and the IoU of every class.
        group: Where it belongs.
        classes: Class names.
        small: IoU of the small objects; None if they were not measured.
        boundary: Boundary IoU, likewise.
        spread: Standard deviation of the score over other images.
        cost: Multiple of `COST`; None if it is not known.
        options: Other fields of `Measured`.
    """
    scores = {"mIoU": miou, **{f"IoU.{name}": miou for name in classes}}
    if small is not None:
        scores["IoU.size < 256 px"] = small
    if boundary is not None:
        scores["bIoU@0.0075"] = boundary
    common = np.random.default_rng(0).normal(0, spread, (RESAMPLES, 1))
    own = np.random.default_rng(zlib.crc32(f"{variant} {seed}".encode()))
    values = np.array(list(scores.values()))
    facts = {} if cost is None else {name: value * cost for name, value in COST.items()}
    fields: dict[str, Any] = {
        "name": f"{variant}-seed{seed}",
        "ids": tuple(f"image{i}" for i in range(20)),
        "resampling": Resampling.of_images(20),
        "image_influence": np.zeros(20),
        "image_miou": np.full(20, miou),
        "path": Path("runs") / f"{variant}-seed{seed}",
        "facts": {"policy": "Void pixels are not counted.", **facts},
        **options,
    }
    return Measured(
        group=group,
        variant=variant,
        seed=seed,
        classes=classes,
        score_names=tuple(scores),
        scores=values,
        resampled=values + common + own.normal(0, spread / 5, (RESAMPLES, len(values))),
        **fields,
    )


def study(gain: float = 0.05, seeds: int = 3, **options: Any) -> list[Measured]:
    """Make runs without and with "afma": mIoU 60, 61, ... per cent, and some ``gain`` more."""
    return [
        measured(variant, seed, 0.6 + 0.01 * seed + more + 0.001 * seed * (more > 0), **options)
        for variant, more in (("none", 0.0), ("afma", gain))
        for seed in range(seeds)
    ]
