"""Images and label maps are paired as people name them, and nothing is dropped in silence."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from support.label_folders import NUM_FILES, finding, kinds, label, photo

from segloom.config import DataConfig
from segloom.data.locate import core, shared_stem, with_ending
from segloom.data.pairing import find_images, pair_folders, split_folder
from segloom.data.readers import read_source
from segloom.data_check import check
from segloom.errors import DataError

COMPOSED = unicodedata.normalize("NFC", "caf\u00e9")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def write(root: Path, image: str, mask: str) -> dict[str, str]:
    """Write samples; return the name of every image with that of its label map."""
    for number in range(NUM_FILES):
        photo(root / image.format(number), seed=1000 * number)
        label(root / mask.format(number), [0, 1, 2])
    return {Path(image.format(n)).name: Path(mask.format(n)).name for n in range(NUM_FILES)}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/img_{:03}.png", "masks/mask_{:03}.png"),
        ("img_{:03}.png", "mask_{:03}.png"),
        ("image{}.jpg", "label{}.png"),
        ("x{}.jpg", "x{}_label.png"),
        ("images/x{}.JPG", "masks/X{}.PNG"),
        ("Images/IM{:02}.JPG", "Masks/im{:02}.png"),
        ("images/{:05}.jpg", "masks/{}.png"),
        ("images/x{}.jpg", "masks/x{}.jpg.png"),
        ("images/x{}.jpg", "masks/x{}_Mask.png"),
        ("images/scan-{}.jpg", "labels/scan_{}_seg.png"),
        ("images/" + COMPOSED + "{}.jpg", "masks/" + DECOMPOSED + "{}.png"),
    ],
)
def test_names_as_people_give_them(tmp_path, image, mask):
    expected = write(tmp_path, image, mask)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    config = DataConfig.model_validate(report.options)
    records = [r for split in ("train", "val", "test") for r in read_source(config, split).records]
    assert {record.image.name: record.mask.name for record in records} == expected


@pytest.mark.parametrize("names", [("Train", "Val", "Test"), ("TRAIN", "VALID", "TESTING")])
@pytest.mark.parametrize("folders", [("images", "masks"), ("Images", "MASKS")])
def test_capitals_of_folders_do_not_matter(tmp_path, names, folders):
    for split in names:
        for number in range(2):
            photo(tmp_path / split / folders[0] / f"{split}{number}.png")
            label(tmp_path / split / folders[1] / f"{split}{number}.png", [0, 1, 2])
    for split in ("train", "val", "test"):
        assert len(read_source(DataConfig(root=tmp_path), split).records) == 2
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert {split: count.pairs for split, count in report.splits.items()} == {
        "train": 2,
        "val": 2,
        "test": 2,
    }


def test_further_label_maps_of_an_image_are_no_images(tmp_path):
    expected = write(tmp_path, "x{}.jpg", "x{}_label.png")
    write(tmp_path, "x{}.jpg", "x{}_mask.png")
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.splits["all"].pairs == NUM_FILES
    ending = report.options["mask_ending"]
    assert ending in ("_label", "_mask")
    config = DataConfig.model_validate(report.options)
    records = [r for split in ("train", "val", "test") for r in read_source(config, split).records]
    assert {r.image.name: r.mask.name.replace(ending, "_label") for r in records} == expected


def test_images_that_only_begin_alike_stay(tmp_path):
    for name in ("1", "01", "10", "scan_1", "scan_1_left"):
        photo(tmp_path / f"{name}.png")
        label(tmp_path / f"{name}_mask.png", [0, 1])
    records = pair_folders(tmp_path, tmp_path, mask_ending="_mask")
    assert {record.id for record in records} == {"1", "01", "10", "scan_1", "scan_1_left"}


def test_the_very_name_goes_before_what_is_alike(tmp_path):
    for name in ("a_1", "A_1", "a_01"):
        photo(tmp_path / f"images/{name}.png")
        label(tmp_path / f"masks/{name}.png", [0, 1])
    label(tmp_path / "masks/mask_a_1.png", [0, 1])
    records = pair_folders(tmp_path / "images", tmp_path / "masks")
    assert all(record.image.name == record.mask.name for record in records)
    assert len(records) == 3


def test_names_that_may_mean_two_samples_are_refused(tmp_path):
    photo(tmp_path / "images/img_1.png")
    for name in ("mask_1", "mask_01"):
        label(tmp_path / f"masks/{name}.png", [0, 1])
    with pytest.raises(DataError, match=r"img_1\.png has no label map of its own"):
        pair_folders(tmp_path / "images", tmp_path / "masks")
    photo(tmp_path / "images/img_01.png")
    (tmp_path / "masks/mask_01.png").unlink()
    with pytest.raises(DataError, match="has no label map of its own"):
        pair_folders(tmp_path / "images", tmp_path / "masks")


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("img_007", "7"),
        ("Mask-7.jpg", "7"),
        ("2024-03-01_plot 4_label", "2024 3 1 plot 4"),
        ("frame10", "frame 10"),
        ("mask", "mask"),
        ("scan_000", "scan 0"),
        ("a+b", "a + b"),
    ],
)
def test_the_core_of_a_name(stem, expected):
    assert core(stem) == expected


def test_endings_and_stars():
    assert shared_stem("a_MASK", "_mask") == "a"
    assert shared_stem("mask_7_x", "mask_*_x") == "7"
    assert shared_stem("a", "_mask") is None
    assert shared_stem("_mask", "_mask") == "_mask"
    assert with_ending("7", "mask_*_x") == "mask_7_x"
    assert with_ending("7", "_L") == "7_L"


def test_a_folder_of_a_split_is_none_without_the_word(tmp_path):
    (tmp_path / "train").mkdir()
    assert split_folder(tmp_path, "train", "train") is None


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize("place", ["images", "masks"])
def test_what_is_named_like_an_image_and_is_none_is_named(tmp_path, kind, place):
    write(tmp_path, "images/x{}.png", "masks/x{}.png")
    odd = tmp_path / place / "odd.png"
    if kind == "link":
        odd.symlink_to("/nowhere/odd.png")
    elif kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.mkdir()
    words = {"link": "a link to /nowhere", "pipe": "no regular file", "folder": "is a folder named"}
    with pytest.raises(DataError, match=words[kind]):
        read_source(DataConfig(root=tmp_path, images="images", masks="masks"), "train")
    report = check(tmp_path)
    assert kinds(report) == ["irregular"]
    assert words[kind] in finding(report, "irregular").files[0]
    assert report.splits["all"].pairs == NUM_FILES


def test_a_folder_of_tiles_may_be_named_like_its_image(tmp_path):
    photo(tmp_path / "scan.tif/0.png")
    assert [path.name for path in find_images(tmp_path).values()] == ["0.png"]
