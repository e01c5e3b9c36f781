"""What `data check` must not call fine, and what readers refuse with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.label_folders import NUM_FILES, all_ids, blocks, finding, folder, kinds, label, photo

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data_check import check
from segloom.errors import DataError


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def decode(config: DataConfig) -> np.ndarray:
    source, _, decoder = read_labelled_source(config, "train")
    return source.decode(source.records[0], decoder).mask


def test_numbered_objects_are_no_classes(tmp_path):
    report = check(folder(tmp_path, list(range(60)), size=(24, 120)))
    assert "60 values would become as many classes" in finding(report, "many-classes").message
    assert not report.is_fine
    names = tuple(f"n{number}" for number in range(60))
    assert "many-classes" not in kinds(check(tmp_path, classes=names))


def test_sixty_colours_are_no_classes_unless_they_are_named(tmp_path):
    folder(tmp_path, list(range(60)), size=(24, 120))
    colors = np.stack([np.arange(60) * 4, 255 - np.arange(60) * 4, np.arange(60) % 7], axis=1)
    for path in (tmp_path / "masks").iterdir():
        save(path, colors.astype(np.uint8)[blocks(list(range(60)), (24, 120))])
    report = check(tmp_path)
    assert "60 colours would become" in finding(report, "many-classes").message


def test_most_images_left_out_is_a_problem(tmp_path):
    folder(tmp_path, [0, 1, 2])
    for number in range(5 * NUM_FILES):
        photo(tmp_path / f"more/z{number}z.png", seed=number)
    report = check(tmp_path)
    assert finding(report, "outside-files").level == "problem"


def test_masks_are_never_taken_for_images(tmp_path):
    for number in range(NUM_FILES):
        photo(tmp_path / f"images/f{number}.png")
        for tag in ("crack", "road"):
            label(tmp_path / f"masks/task-{number}-by-1-tag-{tag}-0.png", [0, 255])
    report = check(tmp_path)
    assert kinds(report) == ["no-pairs"]
    assert report.options == {}


def test_several_label_maps_of_an_image_are_named_with_what_to_do(tmp_path):
    for number in range(NUM_FILES):
        photo(tmp_path / f"images/s{number}.png", seed=1000 * number)
        for name in ("disc", "block"):
            label(tmp_path / f"masks/s{number}_{name}.png", [0, 7, 9])
    report = check(tmp_path)
    message = finding(report, "several-masks").message
    assert "12 images have several label maps each, such as s0_block and s0_disc for s0" in message
    assert "these are no masks of one class or object (0 and 255)" in message


def test_negative_values_are_void(tmp_path):
    folder(tmp_path, [0, 1, 2])
    for path in sorted((tmp_path / "masks").iterdir()):
        pixels = blocks([0, 1, 2, -9999]).astype(np.int32)
        path.unlink()
        save(path.with_suffix(".tif"), pixels)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options["ignore_values"] == [-9999]
    assert all_ids(report) == {0, 1, 2, 255}
    config = DataConfig(root=tmp_path, images="images", masks="masks", classes=("a", "b", "c"))
    with pytest.raises(DataError, match=r"data\.ignore_values: \[-9999\]"):
        decode(config)


@pytest.mark.parametrize("is_color", [True, False])
def test_swapped_folders_are_named(tmp_path, is_color):
    folder(tmp_path, [0, 1, 2], images="masks/{}.png", masks="images/{}.png", size=(24, 20))
    if not is_color:
        for path in (tmp_path / "masks").iterdir():
            save(path, np.random.default_rng(0).integers(0, 256, (24, 20), np.uint8))
    config = DataConfig(root=tmp_path, images="images", masks="masks", classes=("a", "b", "c"))
    match = "photographs have; check that data.images" if is_color else "those of a picture"
    with pytest.raises(DataError, match=match):
        decode(config)
    if is_color:
        report = check(tmp_path)
        assert (report.options["images"], report.options["masks"]) == ("masks", "images")


def turned(path: Path, pixels: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(path, pixels, exif=exif)


def test_the_exif_orientation_turns_image_and_label_map_by_the_rule_of_each_file(tmp_path):
    ids = blocks([0, 1, 2], (24, 20)).astype(np.uint8)
    image = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    turned(tmp_path / "train/images/a.png", image, 6)
    turned(tmp_path / "train/masks/a.png", ids, 6)
    config = DataConfig(root=tmp_path, classes=("a", "b", "c"))
    source, _, decoder = read_labelled_source(config, "train")
    planes = source.decode(source.records[0], decoder)
    np.testing.assert_array_equal(planes.mask, np.rot90(ids, -1))
    np.testing.assert_array_equal(planes.image, np.rot90(image, -1))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_sizes_that_fit_before_turning_name_exif(tmp_path, orientation):
    for split in ("train", "val"):
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, 256, (24, 20, 3), np.uint8)
            turned(tmp_path / f"{split}/images/{split}{number}.png", pixels, orientation)
            label(tmp_path / f"{split}/masks/{split}{number}.png", [0, 1, 2])
    with pytest.raises(DataError, match="the EXIF orientation of the image turns it"):
        decode(DataConfig(root=tmp_path, classes=("a", "b", "c")))
    found = finding(check(tmp_path), "size")
    assert "4 would be if the EXIF orientation of the image were left out" in found.message
    assert "which its EXIF orientation has turned" in found.files[0]


def test_sizes_that_never_fit_do_not_name_exif(tmp_path):
    turned(tmp_path / "train/images/a.png", np.zeros((24, 20, 3), np.uint8), 6)
    label(tmp_path / "train/masks/a.png", [0, 1, 2], (24, 22))
    with pytest.raises(DataError, match="export both at one size") as caught:
        decode(DataConfig(root=tmp_path, classes=("a", "b", "c")))
    assert "EXIF" not in str(caught.value)
