"""A tiny run: three classes, pictures of different sizes, a network with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segloom.config import DataConfig, EvalConfig, ModelConfig, RunConfig
from segloom.config.load import dump_config
from segloom.types import LabelSet

CLASSES = ("ground", "thing", "sky")
PALETTE = ((100, 60, 20), (220, 40, 40), (80, 160, 240))
SIZES = [(40, 56), (33, 47), (40, 56), (64, 40), (35, 35)]


def draw_data(root: Path, split: str = "test") -> None:
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / split / kind).mkdir(parents=True)
    for index, (height, width) in enumerate(SIZES):
        labels = np.zeros((height, width), np.uint8)
        labels[: height // 3] = 2
        labels[height // 3 : -8, 5 + 3 * index : 15 + 4 * index] = 1
        image = np.array(PALETTE, np.uint8)[labels] // 2
        image += random.integers(0, 120, image.shape, dtype=np.uint8)
        labels[:, -3:] = 255
        Image.fromarray(image).save(root / split / "images" / f"scene{index}.png")
        Image.fromarray(labels).save(root / split / "masks" / f"scene{index}.png")


@pytest.fixture(scope="session")
def data_config(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    root = tmp_path_factory.mktemp("data")
    draw_data(root)
    return DataConfig(name="folder", root=root, classes=CLASSES, palette=PALETTE, cache=False)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, data_config: DataConfig) -> Path:
    """Run directory; it is shared, so a test writes its results elsewhere or copies it."""
    from segloom.models import create_model
    from segloom.models.weights.checkpoint import save_pretrained

    torch.manual_seed(0)
    run = tmp_path_factory.mktemp("run")
    model = create_model("unet", encoder_name="tu-test_resnet", classes=3)
    save_pretrained(model, run / "checkpoints" / "best", LabelSet(CLASSES, PALETTE))
    config = RunConfig(
        data=data_config,
        model=ModelConfig(architecture="unet", encoder_name="tu-test_resnet"),
        eval=EvalConfig(bootstrap=50, size_limits=(60, 200)),
    )
    (run / "config.yaml").write_text(dump_config(config))
    return run
