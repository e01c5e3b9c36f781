"""The check finds what is there, says what is wrong, and prints lines that read it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segloom.cli.main import main
from segloom.config import RunConfig
from segloom.data import build_dataset
from segloom.data.camvid import CAMVID, COLORS
from segloom.data.check import DataReport, check
from segloom.errors import DataError
from segloom.pictures import write_image, write_label_png
from segloom.types import IGNORE_INDEX

NUM_FILES = 12
"""Enough for every split of a hash-divided folder to get some."""


def photo(path: Path, size=(24, 20), seed=0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed += sum(path.as_posix().encode())  # no two images alike
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def blocks(values, size=(24, 20)) -> np.ndarray:
    """A map of equal upright stripes of the values."""
    return np.asarray(values)[np.arange(size[1]) * len(values) // size[1]][None].repeat(size[0], 0)


def label(path: Path, values, size=(24, 20), palette=None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = blocks(values, size)
    image = Image.fromarray(pixels.astype(np.uint16 if pixels.max() > 255 else np.uint8))
    if palette is not None:
        image.putpalette(palette)
    image.save(path)


def folder(root: Path, values, *, images="images/{}.jpg", masks="masks/{}.png", **options) -> Path:
    for number in range(NUM_FILES):
        photo(root / images.format(f"f{number}"))
        label(root / masks.format(f"f{number}"), values, **options)
    return root


def kinds(report: DataReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def finding(report: DataReport, kind: str):
    return next(found for found in report.findings if found.kind == kind)


def read_back(report: DataReport, splits=("train", "val", "test")) -> dict[str, list[np.ndarray]]:
    """Every mask of the data set that the printed lines describe."""
    config = RunConfig.model_validate(yaml.safe_load(report.yaml)).data
    config = config.model_copy(update={"cache": False})
    masks: dict[str, list[np.ndarray]] = {}
    for split in splits:
        dataset = build_dataset(config, split)
        masks[split] = [np.asarray(dataset[index]["mask"]) for index in range(len(dataset))]
        allowed = {*range(len(dataset.classes)), IGNORE_INDEX}
        assert all(set(np.unique(mask)) <= allowed for mask in masks[split])
    return masks


def all_ids(report: DataReport, **options) -> set[int]:
    masks = read_back(report, **options)
    assert sum(len(found) for found in masks.values()) == sum(
        count.pairs for count in report.splits.values()
    )
    return {int(value) for found in masks.values() for mask in found for value in np.unique(mask)}


# Layouts


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
            label(tmp_path / masks.replace("{}", f"{name}_{number}").format(**place), [0, 1, 2])
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


# Values


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
    report = check(folder(tmp_path, [0, 1, 2]), classes=("a", "b", "c", "d"))
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


# Files


def test_damaged_files_are_listed_and_the_rest_is_read(tmp_path):
    folder(tmp_path, [0, 1, 2])
    image, mask = tmp_path / "images/f1.jpg", tmp_path / "masks/f2.png"
    image.write_bytes(image.read_bytes()[:200])
    mask.write_bytes(b"no picture")
    (tmp_path / "masks/f3.png").write_bytes(b"")
    report = check(tmp_path)
    found = finding(report, "damaged")
    assert not report.is_fine
    assert len(found.files) == 3
    assert {name for name in ("f1.jpg", "f2.png", "f3.png") if any(name in f for f in found.files)}
    assert report.num_read == NUM_FILES - 3


def test_sizes_that_differ_are_listed(tmp_path):
    folder(tmp_path, [0, 1, 2])
    label(tmp_path / "masks/f5.png", [0, 1, 2], (10, 20))
    report = check(tmp_path)
    assert "f5.png is 20x10 but its image" in finding(report, "size").files[0]
    assert report.sizes == {"20x24": NUM_FILES}


def test_missing_partners_are_listed(tmp_path):
    folder(tmp_path, [0, 1, 2])
    (tmp_path / "images/f1.jpg").unlink()
    (tmp_path / "masks/f2.png").unlink()
    report = check(tmp_path)
    assert finding(report, "no-image").level == "note"
    assert finding(report, "no-mask").level == "problem"
    assert finding(report, "no-mask").files[0].endswith("f2.jpg")
    count = report.splits["all"]
    assert (count.pairs, count.images_alone, count.masks_alone) == (NUM_FILES - 2, 1, 1)


def test_files_that_differ_only_in_their_ending_are_a_problem(tmp_path):
    folder(tmp_path, [0, 1, 2])
    photo(tmp_path / "images/f1.png")
    report = check(tmp_path)
    assert "differ only in their ending" in finding(report, "same-name").message


def test_one_image_in_two_splits_is_a_problem(tmp_path):
    for split in ("train", "val", "test"):
        photo(tmp_path / split / f"images/{split}.png")
        label(tmp_path / split / f"masks/{split}.png", [0, 1, 2])
    shutil.copy(tmp_path / "train/images/train.png", tmp_path / "test/images/test.png")
    report = check(tmp_path)
    assert "1 images are in more than one split" in finding(report, "leak").message


def test_one_image_twice_in_a_split_is_noted(tmp_path):
    folder(tmp_path, [0, 1, 2], images="images/{}.png")
    shutil.copy(tmp_path / "images/f1.png", tmp_path / "images/f2.png")
    report = check(tmp_path)
    assert report.is_fine
    assert "1 images occur more than once" in finding(report, "twice").message


def test_a_limit_reads_fewer_pairs_and_progress_is_told(tmp_path):
    folder(tmp_path, [0, 1, 2])
    told: list[tuple[int, int]] = []
    report = check(tmp_path, limit=5, progress=lambda done, total: told.append((done, total)))
    assert report.num_read == len(told) <= 5
    assert told[-1] == (len(told), len(told))
    assert report.splits["all"].pairs == NUM_FILES


# The command


def test_command_prints_tables_lines_and_exits_with_0(tmp_path, capsys):
    folder(tmp_path, [0, 255])
    assert main(["data", "check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for text in ("images in images", "background", "mask_format: binary", "12 of 20x24", "fine"):
        assert text in out
    lines = out[out.index("data:") : out.index("\n\nfine")]
    assert RunConfig.model_validate(yaml.safe_load(lines)).data.root == tmp_path


def test_command_exits_with_1_if_there_are_problems(tmp_path, capsys):
    folder(tmp_path, [0, 1, 2])
    for number in range(10):
        (tmp_path / f"masks/f{number}.png").write_bytes(b"[bold]")
    assert main(["data", "check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "10 files cannot be read" in out
    assert "and 2 more" in out


def test_command_prints_json(tmp_path, capsys):
    folder(tmp_path, [1, 2, 3])
    words = ["data", "check", str(tmp_path), "--json", "--classes", "a", "b", "c"]
    assert main(words) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["fine"] is True
    assert values["options"]["label_map"] == {"1": 0, "2": 1, "3": 2}
    assert values["splits"] == {"all": {"pairs": 12, "images_alone": 0, "masks_alone": 0}}
    assert RunConfig.model_validate(yaml.safe_load(values["yaml"]))


def test_command_exits_with_2_for_bad_usage(tmp_path, capsys):
    assert main(["data", "check", str(tmp_path / "nope")]) == 2
    assert main(["data", "chek", str(tmp_path)]) == 2
    assert "did you mean 'check'?" in capsys.readouterr().err
    assert main(["data"]) == 2
    assert main(["data", "--help"]) == 0
    assert "download camvid --out DIR" in capsys.readouterr().out


# Real data


def test_real_camvid_is_recognised(shared):
    report = check(shared / "data" / "camvid", limit=40)
    counts = {split: count.pairs for split, count in report.splits.items()}
    assert counts == {"train": 367, "val": 101, "test": 233}
    assert report.options["name"] == "camvid"
    assert report.is_fine
    assert "camvid-split" not in kinds(report)
    names = {row.value: row.name for row in report.labels}
    assert (names["3"], names["11"]) == ("road", "(void)")


@pytest.mark.parametrize(
    ("name", "mask_format", "pairs"),
    [
        ("nuclei", "binary", (70, 20, 30)),
        ("skin_lesion", "binary", (5, 5, 5)),
        ("cityscapes", "index", (5, 5, 5)),
    ],
)
def test_real_samples_are_read_by_the_printed_lines(shared, name, mask_format, pairs):
    report = check(shared / "data" / "samples" / name)
    assert report.options["mask_format"] == mask_format
    assert tuple(count.pairs for count in report.splits.values()) == pairs
    assert report.is_fine
    masks = read_back(report)
    assert tuple(len(found) for found in masks.values()) == pairs


def test_a_part_of_camvid_is_told_from_the_split_of_papers(shared):
    report = check(shared / "data" / "samples" / "camvid")
    assert "papers use 367/101/233" in finding(report, "camvid-split").message
    assert [len(found) for found in read_back(report).values()] == [6, 6, 6]


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
