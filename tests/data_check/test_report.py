"""Damaged files, the printed report, and real data."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from support.label_folders import (
    NUM_FILES,
    finding,
    folder,
    kinds,
    label,
    photo,
    read_back,
)

from segloom.cli.main import main
from segloom.config import DataConfig, RunConfig
from segloom.data.readers import read_source
from segloom.data_check import check


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
    options = {"images": "train/images/{}.png", "masks": "train/masks/{}.png"}
    folder(tmp_path, [0, 1, 2], **options)
    shutil.copy(tmp_path / "train/images/f1.png", tmp_path / "train/images/f2.png")
    report = check(tmp_path)
    assert report.is_fine
    assert "1 images occur more than once" in finding(report, "twice").message


def test_one_image_twice_in_an_undivided_folder_is_a_problem_once_it_is_divided(tmp_path):
    folder(tmp_path, [0, 1, 2], images="images/{}.png")
    config = DataConfig(root=tmp_path, images="images", masks="masks", classes=("a", "b", "c"))
    places = {split: read_source(config, split).records[0].image for split in ("train", "test")}
    shutil.copy(places["train"], places["test"])
    report = check(tmp_path)
    assert f"({places['test']} = {places['train']})" in finding(report, "leak").message


def test_a_limit_reads_fewer_pairs_and_progress_is_told(tmp_path):
    folder(tmp_path, [0, 1, 2])
    told: list[tuple[int, int]] = []
    report = check(tmp_path, limit=5, progress=lambda done, total: told.append((done, total)))
    assert report.num_read == len(told) <= 5
    assert told[-1] == (len(told), len(told))
    assert report.splits["all"].pairs == NUM_FILES


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
