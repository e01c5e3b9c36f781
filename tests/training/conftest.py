"""A tiny data set and a configuration that trains on it in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.squares import write_squares

from segloom.config import RunConfig


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine training and three validation images."""
    root = tmp_path_factory.mktemp("squares")
    write_squares(root / "data", {"train": 9, "val": 3})
    return root


@pytest.fixture(scope="session")
def full_squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine training and three validation images without void, so that all pixels count alike."""
    root = tmp_path_factory.mktemp("full_squares")
    write_squares(root, {"train": 9, "val": 3}, void_rows=0)
    return root


@pytest.fixture
def tiny(squares: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    """Build a configuration: four steps of two images an epoch; options by dotted name."""

    def build(**options: Any) -> RunConfig:
        values: dict[str, Any] = {
            "data.root": squares / "data",
            "data.cache_dir": squares / "cache",
            "data.classes": ("ground", "square"),
            "data.batch_size": 2,
            "model.architecture": "fpn",
            "model.encoder_name": "tu-test_resnet",
            "optim.lr": 3e-3,
            "train.out": tmp_path / "run",
            "train.epochs": 2,
            "train.accelerator": "cpu",
            "train.tensorboard": False,
            **{name.replace("__", "."): value for name, value in options.items()},
        }
        sections: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            section, _, field = name.partition(".")
            sections.setdefault(section, {})[field] = value
        return RunConfig.model_validate(sections)

    return build


@pytest.fixture
def comparable(
    tiny: Callable[..., RunConfig], full_squares: Path, tmp_path: Path
) -> Callable[..., RunConfig]:
    """Build a configuration that one process and several train alike, but for rounding.

    All pixels count; batch norms, with and without an activation inside, see more than a handful
    of values; plain SGD, since Adam magnifies the rounding of near-zero gradients.
    """
    options = {
        "data.root": full_squares,
        "data.cache_dir": tmp_path / "cache",
        "data.batch_size": 4,
        "data.crop": (24, 24),
        "data.class_uniform": 0.6,
        "data.class_uniform_tile": 16,
        "data.augment": {"scale": (1.0, 1.0)},
        "model.architecture": "unet",
        "model.encoder_name": "tu-test_efficientnet",
        "model.options": {"encoder_depth": 3, "decoder_channels": (32, 16, 8)},
        "optim.name": "sgd",
        "optim.lr": 0.01,
        "train.steps_per_epoch": 2,
    }
    return lambda **changes: tiny(**options, **changes)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Sums do not depend on how many threads an earlier test left."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
