"""`segloom data check` tells a folder of masks per class from folders of label maps."""

from __future__ import annotations

import numpy as np
import pytest
from support.class_masks import save, write_split
from support.label_folders import kinds, label, photo

from segloom.config import RunConfig
from segloom.data import build_dataset
from segloom.data_check import check


def test_folders_of_classes_are_recognised_and_counted(tmp_path):
    truth = {split: write_split(tmp_path, split, 4) for split in ("train", "val")}
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert "no-split" in kinds(report)  # there is no test
    assert report.options["mask_format"] == "multilabel"
    assert {split: count.pairs for split, count in report.splits.items()} == {"train": 4, "val": 4}
    present = [one for part in truth.values() for one in part.values()]
    pixels = sum(one[0].size for one in present)
    for k, row in enumerate(report.labels):
        assert row.name == ("bar", "disc")[k]
        assert row.share == pytest.approx(sum(one[k].sum() for one in present) / pixels)
        assert row.files == sum(one[k].any() for one in present)
    config = RunConfig.model_validate({"data": {**report.options, "cache": False}}).data
    assert len(build_dataset(config, "train")) == 4
    assert check(tmp_path, classes=("disc", "bar")).options["classes"] == ["disc", "bar"]


def test_a_folder_that_is_not_divided_is_recognised(tmp_path):
    write_split(tmp_path, "all", 12)
    report = check(tmp_path / "all")
    assert report.is_fine, report.findings
    assert report.options["mask_format"] == "multilabel"
    assert sum(count.pairs for count in report.splits.values()) == 12


def test_what_is_wrong_with_a_mask_is_listed(tmp_path):
    write_split(tmp_path, "train", 3)
    save(tmp_path / "train/masks/bar/p0.png", np.full((32, 40), 7, np.uint8))
    report = check(tmp_path)
    assert "damaged" in kinds(report)
    assert "holds 7, but a mask of one class" in str(report.findings)


def test_label_maps_in_folders_of_cities_are_no_classes(tmp_path):
    for city in ("ulm", "bonn"):
        for number in range(3):
            photo(tmp_path / f"train/images/{city}/{number}.png")
            label(tmp_path / f"train/masks/{city}/{number}.png", [0, 1, 2])
    assert check(tmp_path).options["mask_format"] == "index"
