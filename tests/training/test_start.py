"""From Python: train, evaluate and label with three calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.squares import write_squares

import segloom
from segloom.errors import ConfigError, DataError
from segloom.training import RunResult

SMALL: dict[str, Any] = {
    "arch": "fpn",
    "encoder": "tu-test_resnet",
    "model_encoder_weights": None,
    "train_accelerator": "cpu",
    "train_precision": "fp32",
    "train_tensorboard": False,
    "loss_class_weights": "none",
    "batch_size": 2,
    "crop": None,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and val, no test."""
    root = tmp_path_factory.mktemp("squares")
    write_squares(root, {"train": 4, "val": 2}, void_rows=0)
    return root


@pytest.fixture(scope="module")
def run(root: Path) -> RunResult:
    return segloom.train(
        "folder",
        data_root=root,
        data_classes=("ground", "square"),
        data_cache=False,
        epochs=1,
        out=root / "run",
        show_progress=False,
        **SMALL,
    )


def test_a_recipe_is_trained_by_name_and_measured_by_what_training_returned(
    run: RunResult, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run.epochs == 1
    assert run.path == root / "run"
    evaluation = segloom.evaluate(run)
    assert "no split test; val is measured" in caplog.text
    assert evaluation.folder == run.path / "eval" / "val"
    assert evaluation.scores["mIoU"] == pytest.approx(run.miou)
    assert "mIoU" in repr(evaluation)


def test_a_trained_run_labels_an_image(run: RunResult, root: Path) -> None:
    image = next((root / "val" / "images").iterdir())
    result = segloom.load(run)(image)
    assert result.classes == ("ground", "square")
    assert result.label_map.shape == result.image.shape[:2]


def test_what_is_trained_on_is_said_first(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    segloom.train(
        "folder",
        data_root=root,
        data_classes=("ground", "square"),
        data_cache=False,
        epochs=1,
        train_steps_per_epoch=1,
        out=root / "said",
        **SMALL,
    )
    first, *others = capfd.readouterr().err.splitlines()
    assert first.startswith("data: 4 train, 2 val images")
    assert any(line.startswith("epoch 1/1") for line in others)


def test_a_resume_with_another_data_root_is_refused(run: RunResult, tmp_path: Path) -> None:
    config = segloom.load_run_config(run.path / "config.yaml", train_resume=True, epochs=2)
    write_squares(tmp_path / "other", {"train": 4, "val": 2}, void_rows=0)
    with pytest.raises(ConfigError, match=r"data\.root \(was .*if the images have moved"):
        segloom.train(config, data_root=tmp_path / "other")


def test_mistakes_are_refused_before_anything_is_trained(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown option 'epoch': did you mean 'epochs'"):
        segloom.train("folder", epoch=1)
    with pytest.raises(ConfigError, match="unknown recipe 'foldr': did you mean 'folder'"):
        segloom.train("foldr")
    with pytest.raises(DataError, match="nowhere is not a folder"):
        segloom.train("folder", data_root=tmp_path / "nowhere")


def test_arrays_train_and_are_measured(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 100, (6, 48, 64, 3), dtype=np.uint8)
    masks = np.zeros((6, 48, 64), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        mask[10:30, 20:50] = 1
        image[mask == 1] += 120
    data = segloom.in_memory(
        train=(images[:4], masks[:4]), val=(images[4:], masks[4:]), classes=("ground", "square")
    )
    run = segloom.train("folder", data=data, epochs=1, out=tmp_path / "run", **SMALL)
    evaluation = segloom.evaluate(run, split="val")
    assert evaluation.metrics["num_images"] == 2
    again = segloom.evaluate(run, data=data, split="val", out=tmp_path / "again")
    assert again.scores == evaluation.scores
