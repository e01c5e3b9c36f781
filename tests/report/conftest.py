"""A run directory with every file that a report reads, small and made by formula."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segloom.files import write_csv, write_json, write_text
from segloom.labels.palette import default_palette
from segloom.labels.pictures import write_image

SCORES = {"mIoU": 0.6234, "aAcc": 0.9123, "mAcc": 0.7345, "mDice": 0.7456, "fwIoU": 0.8567}


def make_metrics(names: list[str]) -> dict[str, Any]:
    """Fill metrics.json for some classes; the last class is absent."""
    count = len(names)
    confusion = np.arange(count * count).reshape(count, count) + 50 * np.eye(count, dtype=int)
    confusion[-1] = 0
    per_class = [
        {"name": n, "IoU": 0.5, "accuracy": 0.61, "precision": 0.72, "Dice": 0.66, "pixels": 0.25}
        for n in names[:-1]
    ]
    absent = dict.fromkeys(("IoU", "accuracy", "precision", "Dice"))
    montages = [{"id": "street_1", "file": "montage/street_1.png", "mIoU": 0.777}]
    return {
        "version": 1,
        "split": "test",
        "num_images": 3,
        "classes": names,
        "palette": [list(color) for color in default_palette(count)],
        "scores": SCORES,
        "intervals": {
            "mIoU": [0.6012, 0.6456],
            f"IoU.{names[0]}": [0.4321, 0.5678],
            "IoU.size < 256 px": [0.2, 0.25],
            "bF@0.0075": [0.51, 0.53],
        },
        "bootstrap": {"resamples": 2000, "confidence": 0.95, "unit": "image"},
        "per_class": [*per_class, {"name": names[-1], **absent, "pixels": 0.0}],
        "confusion": confusion.tolist(),
        "size": {
            "definition": "An object is a connected component of the truth.",
            "limits": [256],
            "buckets": [
                {"name": "< 256 px", "num_objects": 1234, "IoU": 0.213, "recall": 0.324},
                {"name": ">= 256 px", "num_objects": 0, "IoU": None, "recall": None},
            ],
        },
        "boundary": {
            "definition": "The band is as wide as the tolerance.",
            "tolerances": [
                {
                    "tolerance": 0.0075,
                    "pixels": 4.5,
                    "bIoU": 0.4123,
                    "bF": 0.5234,
                    "per_class": [{"name": names[0], "bIoU": 0.4, "bF": None}],
                }
            ],
        },
        "policy": "Void pixels are never counted.",
        "inference": {"window": None, "scales": [1.0, 1.5], "flip": True},
        "model": {
            "architecture": "unet",
            "encoder_name": "resnet18",
            "enhancements": ["afma", "celt"],
            "num_parameters": 14_330_000,
        },
        "montages": {"best": montages, "worst": montages},
    }


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a run; keyword arguments replace keys of metrics.json."""

    def make(names: tuple[str, ...] = ("road", "tree", "pole"), **changes: Any) -> Path:
        run = tmp_path / "my-run"
        folder = run / "eval" / "test"
        write_json(folder / "metrics.json", {**make_metrics(list(names)), **changes})
        picture = (np.arange(60 * 200 * 3) % 251).astype(np.uint8).reshape(60, 200, 3)
        write_image(folder / "montage" / "street_1.png", picture)
        per_image = [{"id": f"street_{i}", "mIoU": 0.1 + 0.2 * i, "aAcc": 0.9} for i in range(4)]
        write_csv(folder / "per_image.csv", ["id", "mIoU", "aAcc"], per_image)
        history = [
            {"epoch": e, "step": 10 * e, "lr": 1e-3 / e, "train/total": 2.5 / e, "val/loss": None}
            | ({"val/mIoU": 0.1234 * e, "val/loss": 3.0 / e} if e % 2 == 0 else {"val/mIoU": None})
            for e in range(1, 7)
        ]
        write_csv(run / "metrics.csv", list(history[0]), history)
        config = {"data": {"name": "camvid"}, "train": {"epochs": 6, "seed": 3}}
        write_text(run / "config.yaml", json.dumps({**config, "eval": {"bootstrap": 2000}}))
        write_text(run / "command.txt", "segloom train camvid --train.epochs 6\n")
        return run

    return make
