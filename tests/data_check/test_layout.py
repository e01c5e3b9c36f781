"""Folders are found, divided or not; missing partners are listed."""

from __future__ import annotations

import pytest
from support.label_folders import (
    NUM_FILES,
    all_ids,
    finding,
    folder,
    kinds,
    label,
    photo,
    read_back,
)

from segloom.data_check import check
from segloom.errors import DataError


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("img/{}.png", "label/{}.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("deep/down/images/{}.jpg", "deep/down/masks/{}.png"),
        ("images/{}_leftImg8bit.png", "gt/{}_gtFine_labelIds.png"),
        ("all/{}.jpg", "all/{}_mask.png"),
        ("{}.jpg", "{}_mask.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("images/{}.jpg", "masks/{}_L.png"),
    ],
)
def test_undivided_layouts_are_found(tmp_path, images, masks):
    report = check(folder(tmp_path, [0, 1, 2], images=images, masks=masks))
    assert report.is_fine, report.findings
    assert {split: count.pairs for split, count in report.splits.items()} == {"all": NUM_FILES}
    assert all_ids(report) == {0, 1, 2}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{split}/images/{}.jpg", "{split}/masks/{}.png"),
        ("images/{split}/{}.jpg", "masks/{split}/{}.png"),
        ("{split}/{}.jpg", "{split}annot/{}.png"),
        ("{split}x/{}.jpg", "{split}y/{}.png"),
        ("{split}_images/{}.jpg", "{split}_masks/{}.png"),
        ("leftImg8bit/{split}/aa/{}_leftImg8bit.png", "gtFine/{split}/aa/{}_gtFine_labelIds.png"),
        ("{split}/{}.jpg", "{split}/{}_mask.png"),
    ],
)
@pytest.mark.parametrize("names", [("train", "val", "test"), ("training", "validation", "testing")])
def test_divided_layouts_are_found(tmp_path, images, masks, names):
    for count, name in enumerate(names, 2):
        for number in range(count):
            place = {"split": name}
            photo(tmp_path / images.replace("{}", f"{name}_{number}").format(**place))
            mask = tmp_path / masks.replace("{}", f"{name}_{number}").format(**place)
            label(mask, [7, 11, 26] if "labelIds" in masks else [0, 1, 2])  # Cityscapes' own ids
    report = check(tmp_path)
    assert report.is_fine, report.findings
    counts = {split: count.pairs for split, count in report.splits.items()}
    assert counts == {"train": 2, "val": 3, "test": 4}
    assert {split: len(found) for split, found in read_back(report).items()} == counts


def test_label_maps_win_over_other_pictures_of_the_same_names(tmp_path):
    folder(tmp_path, [0, 1, 2])
    for number in range(NUM_FILES):
        photo(tmp_path / f"depth/f{number}.png")
    report = check(tmp_path)
    assert (report.layout.images, report.layout.masks) == ("images", "masks")
    assert finding(report, "outside-files").message.startswith(f"{NUM_FILES} image files")


def test_a_folder_without_images_is_a_problem(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    report = check(tmp_path)
    assert not report.is_fine
    assert kinds(report) == ["other-files", "no-images"]
    assert "1 .txt" in report.findings[0].message
    assert report.yaml == ""


def test_images_without_any_partner_are_a_problem(tmp_path):
    for number in range(4):
        photo(tmp_path / f"one/a{number}.jpg")
        photo(tmp_path / f"two/b{number}.jpg")
    report = check(tmp_path)
    assert kinds(report) == ["no-pairs"]
    assert "8 images" in report.findings[0].message


def test_hidden_files_do_not_count(tmp_path):
    folder(tmp_path, [0, 1, 2])
    photo(tmp_path / "images/.f0.jpg")
    photo(tmp_path / ".trash/images/f0.jpg")
    assert check(tmp_path).is_fine


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nope is not a folder; give the one"):
        check(tmp_path / "nope")
