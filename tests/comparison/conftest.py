"""A comparison that takes seconds: squares, a tiny encoder, one epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.squares import write_squares

from segloom.config import RunConfig
from segloom.config.comparison import ComparisonPlan


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    root = tmp_path_factory.mktemp("squares")
    write_squares(root / "data", {"train": 5, "val": 2, "test": 4})
    return RunConfig.model_validate(
        {
            "data": {
                "root": root / "data",
                "cache_dir": root / "cache",
                "classes": ("ground", "square"),
                "batch_size": 2,
            },
            "model": {"architecture": "unet", "encoder_name": "tu-test_resnet"},
            "train": {"epochs": 1, "accelerator": "cpu", "tensorboard": False, "threads": 1},
            "eval": {"size_limits": [64], "bootstrap": 20},
        }
    )


@pytest.fixture
def plan(recipe: RunConfig) -> Callable[..., ComparisonPlan]:
    """Build a plan on the squares; options by name."""

    def build(**options: Any) -> ComparisonPlan:
        values = {"enhancements": ("none", "celt"), "recipes": {"squares": recipe}, **options}
        return ComparisonPlan.model_validate(values)

    return build


@pytest.fixture(scope="session")
def finished(recipe: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of two sets and two seeds; it is shared, so nobody changes it."""
    from segloom.comparison import compare

    folder = tmp_path_factory.mktemp("lab") / "done"
    plan = ComparisonPlan(enhancements=("none", "celt"), seeds=(0, 1), recipes={"squares": recipe})
    compare(plan, folder, engine="inline")
    return folder
