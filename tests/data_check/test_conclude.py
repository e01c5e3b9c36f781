"""What stored values mean, and the lines that read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.label_folders import (
    NUM_FILES,
    all_ids,
    blocks,
    finding,
    folder,
    kinds,
    label,
    photo,
    read_back,
)

from segloom.data.sets.camvid import CAMVID, COLORS
from segloom.data_check import check
from segloom.labels.pictures import write_image, write_label_png


def test_zero_and_255_are_two_classes(tmp_path):
    report = check(folder(tmp_path, [0, 255]))
    assert (report.options["mask_format"], kinds(report)) == ("binary", ["binary"])
    assert [(row.value, row.name) for row in report.labels] == [
        ("0", "background"),
        ("255", "foreground"),
    ]
    assert all_ids(report) == {0, 1}


def test_zero_one_and_255_are_two_classes_and_void(tmp_path):
    report = check(folder(tmp_path, [0, 1, 255]))
    assert report.options["mask_format"] == "index"
    assert [row.name for row in report.labels] == ["class_0", "class_1", "(void)"]
    assert all_ids(report) == {0, 1, 255}


def test_one_bit_label_maps_are_binary(tmp_path):
    folder(tmp_path, [0, 1, 0])
    for path in (tmp_path / "masks").iterdir():
        Image.fromarray(blocks([False, True, False])).save(path)
    assert all_ids(check(tmp_path)) == {0, 1}


def test_ids_from_one_are_shifted(tmp_path):
    report = check(folder(tmp_path, [1, 2, 3]))
    assert report.options["label_map"] == {"1": 0, "2": 1, "3": 2}
    assert "go from 1 to 3 and 0 is never used" in finding(report, "off-by-one").message
    assert all_ids(report) == {0, 1, 2}


def test_ids_from_one_are_shifted_for_declared_classes(tmp_path):
    report = check(folder(tmp_path, [1, 2, 3]), classes=("a", "b", "c"))
    assert report.is_fine
    assert report.options["classes"] == ["a", "b", "c"]
    assert [row.name for row in report.labels] == ["a", "b", "c"]
    assert all_ids(report) == {0, 1, 2}


def test_zero_that_only_draws_outlines_is_void(tmp_path):
    folder(tmp_path, [1, 2, 3])
    for path in (tmp_path / "masks").iterdir():
        pixels = blocks([1, 2, 3], (48, 60)).astype(np.uint8)
        pixels[:, [19, 20, 39, 40]] = 0
        Image.fromarray(pixels).save(path)
        photo(tmp_path / "images" / f"{path.stem}.jpg", (48, 60))
    report = check(tmp_path)
    assert report.options["label_map"] == {"0": 255, "1": 0, "2": 1, "3": 2}
    assert "0 only draws outlines" in finding(report, "off-by-one").message
    assert all_ids(report) == {0, 1, 2, 255}


def test_values_with_wide_gaps_are_numbered(tmp_path):
    report = check(folder(tmp_path, [0, 38, 75, 113]))
    assert report.options["label_map"] == {"0": 0, "38": 1, "75": 2, "113": 3}
    assert "have gaps" in finding(report, "gaps").message
    assert all_ids(report) == {0, 1, 2, 3}


def test_a_few_unused_ids_keep_their_places(tmp_path):
    report = check(folder(tmp_path, [0, 1, 2, 4]))
    assert len(report.options["classes"]) == 5
    assert "ids 3 never occur" in finding(report, "unused-ids").message
    assert all_ids(report) == {0, 1, 2, 4}


def test_16_bit_ids_are_read(tmp_path):
    report = check(folder(tmp_path, [0, 1000, 2000]))
    assert all_ids(report) == {0, 1, 2}


def test_values_outside_declared_classes_are_a_problem(tmp_path):
    report = check(folder(tmp_path, [0, 1, 7, 9]), classes=("a", "b"))
    assert not report.is_fine
    assert "values outside the 2 classes: 7, 9" in finding(report, "outside").message
    assert [row.name for row in report.labels] == ["a", "b", "(void)", "(void)"]
    assert all_ids(report) == {0, 1, 255}


def test_declared_classes_that_fit_are_named(tmp_path):
    report = check(folder(tmp_path, [0, 1, 2]), classes=("a", "b", "c"))
    assert report.is_fine
    assert [row.name for row in report.labels] == ["a", "b", "c"]


def test_label_maps_of_void_alone_are_a_problem(tmp_path):
    folder(tmp_path, [255])
    report = check(tmp_path, classes=("a", "b", "c"))
    assert "every label pixel is 255" in finding(report, "all-void").message


def test_shares_and_files_are_counted(tmp_path):
    folder(tmp_path, [0, 1])
    label(tmp_path / "masks/f0.png", [0, 1, 2, 2])
    rows = {row.value: row for row in check(tmp_path).labels}
    assert (rows["0"].files, rows["2"].files) == (NUM_FILES, 1)
    assert rows["2"].share == pytest.approx(0.5 / NUM_FILES)
    assert sum(row.share for row in rows.values()) == pytest.approx(1)


# Palettes and colours


def test_palette_indices_are_ids_and_its_colours_are_kept(tmp_path):
    colors = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    report = check(folder(tmp_path, [0, 1, 2], palette=[0, 0, 0, 128, 0, 0, 0, 128, 0]))
    assert report.options["palette"] == colors
    assert "palette" in kinds(report)
    assert all_ids(report) == {0, 1, 2}


def test_different_palettes_are_a_problem(tmp_path):
    folder(tmp_path, [0, 1, 2], palette=[0, 0, 0, 9, 9, 9, 8, 8, 8])
    label(tmp_path / "masks/f3.png", [0, 1, 2], palette=[0, 0, 0, 200, 9, 9, 8, 8, 8])
    report = check(tmp_path)
    assert "2 different palettes" in finding(report, "palettes").message
    assert all_ids(report) == {0, 1, 2}


def colored(root: Path, colors) -> Path:
    folder(root, list(range(len(colors))))
    for path in (root / "masks").iterdir():
        ids = blocks(list(range(len(colors))))
        Image.fromarray(np.asarray(colors, np.uint8)[ids]).save(path)
    return root


def test_unknown_colours_are_listed(tmp_path):
    report = check(colored(tmp_path, [(0, 0, 0), (10, 20, 30), (200, 0, 5)]))
    assert {row.value for row in report.labels} == {"0,0,0", "10,20,30", "200,0,5"}
    assert "3 colours" in finding(report, "colors").message
    assert report.options["classes"][0] == "color_0_0_0"
    assert all_ids(report) == {0, 1, 2}


def test_black_files_among_coloured_ones_are_read(tmp_path):
    colored(tmp_path, [(0, 0, 0), (10, 20, 30), (200, 0, 5)])
    label(tmp_path / "masks/f1.png", [0])
    report = check(tmp_path)
    assert "mixed-kinds" in kinds(report)
    assert report.is_fine
    assert all_ids(report) == {0, 1, 2}


def test_colours_of_camvid_are_recognised_and_merged(tmp_path):
    colors = [COLORS[name][0] for name in ("Sky", "Road", "LaneMkgsDriv", "Sidewalk", "Void")]
    report = check(colored(tmp_path, colors))
    assert report.options["classes"] == list(CAMVID.classes)
    names = {row.value: row.name for row in report.labels}
    assert (names["128,0,192"], names["0,0,0"]) == ("road", "(void)")
    assert all_ids(report) == {0, 3, 4, 255}


def test_colours_of_cityscapes_are_recognised(tmp_path):
    colors = [(128, 64, 128), (244, 35, 232), (0, 0, 142), (0, 0, 0)]
    report = check(colored(tmp_path, colors))
    assert len(report.options["classes"]) == 19
    assert all_ids(report) == {0, 1, 13, 255}


def test_more_colours_than_declared_classes_are_a_problem(tmp_path):
    colors = [(0, 0, 0), (10, 20, 30), (200, 0, 5)]
    report = check(colored(tmp_path, colors), classes=("a", "b"))
    assert "hold 3 colours" in finding(report, "outside").message
    assert len(all_ids(report) - {255}) == 2


def test_colours_in_jpeg_are_a_problem(tmp_path):
    colored(tmp_path, [(0, 0, 0), (10, 200, 30), (200, 0, 5)])
    for path in list((tmp_path / "masks").iterdir()):
        Image.open(path).save(path.with_suffix(".jpg"), quality=70)
        path.unlink()
    report = check(tmp_path)
    assert "are JPEG files" in finding(report, "jpeg-labels").message
    assert report.options == {}


def test_binary_jpegs_are_cut_and_noted(tmp_path):
    folder(tmp_path, [0, 255, 0], masks="masks/{}.jpg")
    report = check(tmp_path)
    assert "12 label maps are JPEG" in finding(report, "jpeg-binary").message
    assert report.is_fine
    assert all_ids(report) == {0, 1}


@pytest.mark.parametrize(("values", "kind"), [((0, 100, 200), "smeared"), ((0, 255, 90), "trimap")])
def test_a_small_class_between_dark_and_bright_in_jpeg_is_never_cut_away(tmp_path, values, kind):
    for number in range(NUM_FILES):
        photo(tmp_path / f"images/f{number}.jpg", size=(120, 160))
        drawn = np.full((120, 160), values[0], np.uint8)
        drawn[8:32, 8:40], drawn[64:80, 80:96] = values[1], values[2]
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(drawn).save(tmp_path / f"masks/f{number}.jpg", quality=85)
    report = check(tmp_path)
    assert "0, 90, 255" in finding(report, "smeared").message or values[1] == 100
    assert finding(report, kind)
    assert report.is_fine == (kind == "smeared")
    if report.is_fine:
        assert all_ids(report) == {0, 1, 2}


def test_ids_in_jpeg_are_a_problem(tmp_path):
    for number in range(NUM_FILES):
        photo(tmp_path / f"images/f{number}.jpg")
        label(tmp_path / f"masks/f{number}.jpg", [0, 90, 120, 170])
    report = check(tmp_path)
    assert "mixes neighbouring class ids" in finding(report, "jpeg-labels").message


def test_photographs_are_no_label_maps(tmp_path):
    for number in range(NUM_FILES):
        photo(tmp_path / f"images/f{number}.jpg", (40, 50))
        photo(tmp_path / f"masks/f{number}.png", (40, 50))
    report = check(tmp_path)
    assert "hold over 256 colours" in finding(report, "jpeg-labels").message


def test_soft_masks_are_no_label_maps(tmp_path):
    for number in range(NUM_FILES):
        photo(tmp_path / f"images/f{number}.jpg", (40, 300))
        path = tmp_path / f"masks/f{number}.png"
        path.parent.mkdir(exist_ok=True)
        soft = np.linspace(0, 65535, 300).astype(np.uint16)[None].repeat(40, 0)
        Image.fromarray(soft).save(path)
    report = check(tmp_path)
    assert "more than 255 different values" in finding(report, "not-labels").message


def test_grey_noise_is_no_label_map(tmp_path):
    for number in range(NUM_FILES):
        photo(tmp_path / f"images/f{number}.jpg", (40, 50))
        noise = np.random.default_rng(number).integers(0, 254, (40, 50), np.uint8)
        write_label_png(tmp_path / f"masks/f{number}.png", noise)
    report = check(tmp_path)
    assert "change from pixel to pixel" in finding(report, "not-labels").message
    assert not report.is_fine


def test_many_classes_in_areas_are_label_maps(tmp_path):
    for number in range(NUM_FILES):
        photo(tmp_path / f"images/f{number}.jpg", (10, 240))
        label(tmp_path / f"masks/f{number}.png", list(range(60)), (10, 240))
    report = check(tmp_path)
    assert kinds(report) == ["many-classes"]  # they may be numbers of objects
    assert all_ids(report) == set(range(60))
    assert check(tmp_path, classes=report.options["classes"]).is_fine


def test_a_trimap_is_a_problem_whose_lines_read_it(tmp_path):
    report = check(folder(tmp_path, [0, 128, 255]))
    assert not report.is_fine
    assert "as trimaps do" in finding(report, "trimap").message
    assert {row.value: row.name for row in report.labels} == {
        "0": "background",
        "128": "(void)",
        "255": "foreground",
    }
    masks = [mask for found in read_back(report).values() for mask in found]
    assert all(np.array_equal(mask, blocks([0, 255, 1])) for mask in masks)


def test_one_class_alone_is_a_problem(tmp_path):
    for index in range(4):
        write_image(tmp_path / "images" / f"{index}.png", np.zeros((8, 8, 3), np.uint8))
        write_label_png(tmp_path / "masks" / f"{index}.png", np.zeros((8, 8), np.uint8))
    report = check(tmp_path)
    assert not report.is_fine
    assert "leaves nothing to tell apart" in " ".join(f.message for f in report.findings)


def test_nothing_but_void_is_a_problem(tmp_path):
    for index in range(4):
        write_image(tmp_path / "images" / f"{index}.png", np.zeros((8, 8, 3), np.uint8))
        write_label_png(tmp_path / "masks" / f"{index}.png", np.full((8, 8), 255, np.uint8))
    report = check(tmp_path)
    assert not report.is_fine
    assert "every label pixel is 255" in " ".join(f.message for f in report.findings)
