"""What a data set holds is compared with what training reads of it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.label_folders import blocks, finding, kinds, label, photo

from segloom.cli.main import main
from segloom.config import DataConfig
from segloom.data_check import check
from segloom.data_check.training import check_before_training, check_training
from segloom.errors import DataError

THREE = ("ground", "disc", "block")


def divided(root: Path, train, other=None, **options) -> Path:
    for split, values in (("train", train), ("val", other or train)):
        for number in range(4):
            photo(root / split / f"images/{split}{number}.png")
            label(root / split / f"masks/{split}{number}.png", values, **options)
    return root


def found(root: Path, classes=THREE, **options) -> dict[str, str]:
    config = DataConfig(root=root, classes=classes, **options)
    return {one.kind: one.message for one in check_training(config) if one.level == "problem"}


def test_data_that_is_fine_is_fine(tmp_path):
    assert found(divided(tmp_path, [0, 1, 2, 255])) == {}
    assert check(tmp_path, classes=THREE).is_fine


def test_a_declared_class_without_a_pixel_in_training_is_a_problem_and_a_warning(tmp_path, caplog):
    divided(tmp_path, [0, 1], [0, 1, 2])
    report = check(tmp_path, classes=THREE)
    assert "block has not one pixel in the 4 label maps" in finding(report, "absent").message
    assert not report.is_fine
    with caplog.at_level(logging.WARNING):
        check_before_training(DataConfig(root=tmp_path, classes=THREE))
    assert "warning: block has not one pixel" in caplog.text


def test_two_values_beside_three_names_leave_one_class(tmp_path):
    divided(tmp_path, [0, 255])
    report = check(tmp_path, classes=THREE)
    message = finding(report, "one-class").message
    assert "every labelled pixel of the 4 label maps of training is 'ground'" in message
    assert "255 is void where 3 classes are named" in message


def test_nothing_but_void_is_a_problem(tmp_path):
    divided(tmp_path, [0, 1, 2])
    config = {"label_map": {"0": 255, "1": 255, "2": 255}}
    assert "all pixels of the 4 label maps" in found(tmp_path, **config)["all-void"]


def test_label_maps_of_one_class_are_a_problem(tmp_path):
    assert "so there is nothing to learn" in found(divided(tmp_path, [0]))["one-class"]


def test_a_few_of_many_empty_label_maps_are_no_refusal(tmp_path, monkeypatch):
    divided(tmp_path, [0])
    label(tmp_path / "train/masks/train3.png", [0, 1, 2])
    monkeypatch.setattr("segloom.data_check.training.ENOUGH", 2)
    assert found(tmp_path) == {}  # all are read while a class is missing
    monkeypatch.setattr("segloom.data_check.training.PATIENCE_S", 0.0)
    config = DataConfig(root=tmp_path, classes=THREE)
    levels = {one.kind: one.level for one in check_training(config)}
    assert set(levels.values()) <= {"note"}


def test_palettes_whose_colours_change_places_are_a_problem(tmp_path):
    colors = [0, 0, 0, 200, 0, 0, 0, 200, 0]
    divided(tmp_path, [0, 1, 2], palette=colors)
    swapped = [0, 0, 0, 0, 200, 0, 200, 0, 0]
    label(tmp_path / "train/masks/train1.png", [0, 2, 1], palette=swapped)
    assert "palette index 1 is (0, 200, 0) and (200, 0, 0)" in found(tmp_path)["palettes"]
    assert "palettes" not in found(tmp_path, mask_format="index")  # the user has decided
    assert "palettes" in kinds(check(tmp_path))
    palette = ((0, 0, 0), (200, 0, 0), (0, 200, 0))
    assert found(tmp_path, mask_format="color", palette=palette) == {}


def test_palettes_that_differ_where_nothing_is_drawn_are_fine(tmp_path):
    divided(tmp_path, [0, 1, 2], palette=[0, 0, 0, 200, 0, 0, 0, 200, 0])
    longer = [0, 0, 0, 200, 0, 0, 0, 200, 0, 7, 7, 7]
    label(tmp_path / "train/masks/train1.png", [0, 1, 2], palette=longer)
    assert found(tmp_path) == {}
    assert check(tmp_path, classes=THREE).is_fine


def test_an_image_in_two_splits_is_a_problem(tmp_path):
    divided(tmp_path, [0, 1, 2])
    shutil.copy(tmp_path / "train/images/train0.png", tmp_path / "val/images/val2.png")
    assert "1 images of val or test are in training too" in found(tmp_path)["leak"]


def test_a_label_map_that_cannot_be_read_is_named(tmp_path):
    divided(tmp_path, [0, 1, 2])
    label(tmp_path / "train/masks/train2.png", [0, 1, 9])
    message = found(tmp_path)["unreadable"]
    assert "train2.png holds values outside the 3 classes: 9" in message


def test_smeared_label_maps_are_noted(tmp_path):
    divided(tmp_path, [0, 120, 220], size=(48, 60))
    for path in (tmp_path / "train/masks").iterdir():
        small = Image.fromarray(blocks([0, 120, 220], (19, 23)).astype(np.uint8))
        small.resize((60, 48), Image.Resampling.BILINEAR).save(path)
    config = {"label_map": {"0": 0, "120": 1, "220": 2}}
    options = DataConfig(root=tmp_path, classes=THREE, **config)
    notes = {one.kind: one.message for one in check_training(options)}
    assert notes["nearest"].startswith("4 of 4 label maps hold values in between")


@pytest.mark.parametrize("values", [[0], [0, 255]])
def test_training_does_not_start_where_the_check_finds_a_problem(tmp_path, capsys, values):
    divided(tmp_path, values)
    words = ["train", "folder", "--root", str(tmp_path), "--data.classes", *THREE]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    assert f"{tmp_path}: every labelled pixel of the 4" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_training_from_python_does_not_start_either(tmp_path):
    from segloom.config import RunConfig
    from segloom.training import train

    data = DataConfig(root=divided(tmp_path, [0]), classes=THREE)
    config = RunConfig(data=data, train={"out": tmp_path / "run"})
    with pytest.raises(DataError, match="so there is nothing to learn"):
        train(config)
    assert not (tmp_path / "run").exists()
