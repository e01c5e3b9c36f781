"""What users of other tools reported of trainings: classes, sizes and batches as they come."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config import InferenceConfig, RunConfig
from segloom.evaluation import evaluate
from segloom.inference import Predictor
from segloom.training import train

NAMES = ("ground", "square", "sky")


def write(root: Path, sizes: dict[str, list[tuple[int, int]]], ids: dict[str, list[int]]) -> Path:
    """Write label maps of blocks of the class ids that a split shows, and images to match."""
    rng = np.random.default_rng(0)
    for split, shapes in sizes.items():
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for number, (height, width) in enumerate(shapes):
            blocks = rng.choice(ids[split], (8, 8)).astype(np.uint8)
            mask = np.kron(blocks, np.ones((8, 12), np.uint8))[:height, :width]
            noise = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
            image = (noise + np.minimum(mask, 2)[..., None] * 80).astype(np.uint8)
            Image.fromarray(image).save(root / split / "images" / f"{split}{number}.png")
            Image.fromarray(mask).save(root / split / "masks" / f"{split}{number}.png")
    return root


@pytest.mark.parametrize("scheme", ["inverse", "median"])
def test_a_class_that_training_lacks_is_counted_in_the_test_like_any_other(
    scheme: str, tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    sizes = {"train": [(32, 32)] * 6, "val": [(32, 32)] * 2, "test": [(40, 52)] * 3}
    shown = {"train": [0, 1, 255], "val": [0, 1], "test": [0, 1, 2, 255]}
    root = write(tmp_path / "data", sizes, shown)
    result = train(
        tiny(
            data__root=root,
            data__cache=False,
            data__classes=NAMES,
            loss__class_weights=scheme,
            loss__terms={"cross_entropy": 1.0, "dice": 1.0},
            train__epochs=2,
        )
    )
    assert math.isfinite(result.miou)
    scores = evaluate(result, split="test").scores

    predictor = Predictor.from_path(tmp_path / "run", InferenceConfig(device="cpu"))
    table = np.zeros((3, 3), np.int64)
    for path in sorted((root / "test" / "images").iterdir()):
        truth = np.asarray(Image.open(root / "test" / "masks" / path.name))
        predicted = predictor.label_map(np.asarray(Image.open(path)))
        for true_id in range(3):
            for given in range(3):
                table[true_id, given] += ((truth == true_id) & (predicted == given)).sum()
    right, drawn, given = np.diag(table), table.sum(1), table.sum(0)
    assert drawn[2] > 0
    assert scores["mIoU"] == pytest.approx((right / (drawn + given - right)).mean(), abs=1e-15)
    assert scores["aAcc"] == pytest.approx(right.sum() / table.sum(), abs=1e-15)
    assert scores["mAcc"] == pytest.approx((right / drawn).mean(), abs=1e-15)


def test_label_maps_of_void_alone_make_no_loss_that_is_no_number(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    sizes = {"train": [(32, 32)] * 5, "val": [(32, 32)] * 2}
    root = write(tmp_path / "data", sizes, {"train": [0, 1], "val": [0, 1]})
    for name in ("train/masks/train0.png", "val/masks/val0.png"):
        Image.fromarray(np.full((32, 32), 255, np.uint8)).save(root / name)
    result = train(
        tiny(
            data__root=root,
            data__cache=False,
            data__batch_size=1,  # a batch of void alone
            data__crop=(64, 64),
            loss__terms={"cross_entropy": 1.0, "dice": 1.0},
        )
    )
    assert 0 <= result.miou <= 1


@pytest.mark.parametrize("crop", [None, (64, 80)])
def test_images_of_many_sizes_train_whole_and_in_crops_larger_than_some(
    crop: tuple[int, int] | None, tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    sizes = [(32, 32), (64, 96), (17, 90), (50, 33), (64, 64), (33, 65), (41, 41), (20, 20)]
    root = write(
        tmp_path / "data", {"train": sizes, "val": sizes[:3]}, {"train": [0, 1], "val": [0, 1]}
    )
    result = train(
        tiny(
            data__root=root, data__cache=False, data__batch_size=4, data__crop=crop, train__epochs=1
        )
    )
    assert (result.epochs, 0 <= result.miou <= 1) == (1, True)


@pytest.mark.parametrize("architecture", ["pspnet", "deeplabv3plus"])
def test_seven_images_in_batches_of_four_train(
    architecture: str, tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    sizes = {"train": [(64, 64)] * 7, "val": [(32, 32)] * 2}
    root = write(tmp_path / "data", sizes, {"train": [0, 1], "val": [0, 1]})
    config = tiny(
        data__root=root,
        data__cache=False,
        data__batch_size=4,
        data__crop=(64, 64),
        model__architecture=architecture,
        model__encoder_name="resnet18",
        train__epochs=1,
    )
    assert train(config).epochs == 1
