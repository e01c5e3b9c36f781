"""Where exporters put COCO's JSON and its images, and what they write into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data.sets.coco_files import annotation_file, inner_path
from segloom.data_check import check
from segloom.errors import DataError, NoSplitError

CATEGORIES = [{"id": 1, "name": "cell"}, {"id": 2, "name": "dirt"}]
SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]
CORNER = [[6, 4, 8, 4, 8, 6, 6, 6]]


def write(path: Path, names: list[str], folder: Path, **facts: Any) -> None:
    """Write annotations, a square of class 2 and a corner of class 1 per image, and the images."""
    images = [{"id": k, "file_name": n, "height": 6, "width": 8} for k, n in enumerate(names)]
    things = [
        {"id": k, "image_id": k, "category_id": category, "segmentation": shape, "iscrowd": 0}
        for k in range(len(names))
        for category, shape in ((2, SQUARE), (1, CORNER))
    ]
    content = {"images": images, "annotations": things, "categories": CATEGORIES, **facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    for name in names:
        file = folder / name.replace("\\", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((6, 8, 3), sum(name.encode()) % 251, np.uint8)
        Image.fromarray(pixels).save(file)


def layouts() -> dict[str, tuple[str, str, str]]:
    """Return file, folder of the images, and the beginning of their names by exporter."""
    return {
        "CVAT": ("annotations/instances_default.json", "images/default", ""),
        "CVAT, flat": ("annotations/instances_default.json", "images", ""),
        "Label Studio": ("result.json", "", "images/"),
        "Label Studio on Windows": ("result.json", "", "images\\"),
        "FiftyOne": ("labels.json", "data", ""),
        "Roboflow without splits": ("export/../_annotations.coco.json", "", ""),
        "one folder": ("instances.json", "images", ""),
    }


@pytest.mark.parametrize("name", layouts())
def test_one_file_for_all_images_is_found_and_divided(name: str, tmp_path: Path) -> None:
    file, folder, beginning = layouts()[name]
    names = [f"{beginning}im_{k}.png" for k in range(9)]
    (tmp_path / "export").mkdir()
    write(tmp_path / file, names, tmp_path / folder)
    (tmp_path / "export").rmdir()
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options["name"] == "coco"
    found: set[str] = set()
    for split in ("train", "val", "test"):
        source, labels, decoder = read_labelled_source(
            DataConfig(name="coco", root=tmp_path), split
        )
        assert labels.classes == ("background", "cell", "dirt")
        for record in source.records:
            mask = source.decode(record, decoder).mask
            assert mask[1:4, 1:4].min() == 2
            assert mask.sum() == 22
        assert not found & {record.image.stem for record in source.records}
        found |= {record.image.stem for record in source.records}
    assert found == {f"im_{k}" for k in range(9)}


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("annotations/train.json", "annotations/val.json"),
        ("annotations/instances_Train.json", "annotations/instances_Validation.json"),
        ("train.json", "val.json"),
        ("instances_train.json", "instances_val.json"),
        ("cells_train.json", "cells_valid.json"),
        ("Train/labels.json", "Valid/labels.json"),
    ],
)
def test_a_file_per_split_is_found(train: str, val: str, tmp_path: Path) -> None:
    for path, names in ((train, ["a.png", "b.png"]), (val, ["c.png"])):
        beside = (tmp_path / path).parent
        beside = tmp_path if beside.name == "annotations" else beside
        write(tmp_path / path, names, beside / "images")
    for split, number in (("train", 2), ("val", 1)):
        source, _, _ = read_labelled_source(DataConfig(name="coco", root=tmp_path), split)
        assert len(source.records) == number
        assert source.records[0].image.is_file()
    with pytest.raises(NoSplitError):
        annotation_file(tmp_path, "test")


def test_folders_in_the_names_divide_one_file(tmp_path: Path) -> None:
    names = ["train/a.png", "train/b.png", "val/c.png", "test/d.png"]
    write(tmp_path / "annotations.json", names, tmp_path)
    source, _, _ = read_labelled_source(DataConfig(name="coco", root=tmp_path), "val")
    assert [record.image.name for record in source.records] == ["c.png"]


def test_the_crowd_flag_of_a_brush_in_cvat_is_no_crowd(tmp_path: Path) -> None:
    runs = {"size": [6, 8], "counts": [0, 6, 42]}
    thing = {"id": 1, "image_id": 0, "category_id": 1, "segmentation": runs, "iscrowd": 1}
    config = DataConfig(name="coco", root=tmp_path, split_shares=(1.0, 0.0, 0.0))
    for more, value in (({"attributes": {"occluded": False}}, 1), ({}, 255)):
        path = tmp_path / "annotations" / "instances_default.json"
        write(path, ["a.png"], tmp_path, annotations=[thing | more])
        source, _, decoder = read_labelled_source(config, "train")
        mask = source.decode(source.records[0], decoder).mask
        assert set(mask[:, 0].tolist()) == {value}
        assert mask[:, 1:].max() == 0


def test_the_project_that_roboflow_writes_above_its_classes_is_no_class(tmp_path: Path) -> None:
    above = {"id": 0, "name": "cells", "supercategory": "none"}
    categories = [above, *({**c, "supercategory": "cells"} for c in CATEGORIES)]
    write(tmp_path / "result.json", ["a.png"], tmp_path, categories=categories)
    _, labels, _ = read_labelled_source(
        DataConfig(name="coco", root=tmp_path, split_shares=(1.0, 0.0, 0.0)), "train"
    )
    assert labels.classes == ("background", "cell", "dirt")


def test_several_files_of_all_images_are_named(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write(tmp_path / name, ["a.png"], tmp_path)
    with pytest.raises(DataError, match=r"several annotation files for all images: .*a\.json"):
        annotation_file(tmp_path, "train")


def test_json_of_another_form_is_not_taken_for_annotations(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"classes": []}')
    (tmp_path / "cut.json").write_text('{"images": [')
    write(tmp_path / "labels.json", ["a.png"], tmp_path)
    assert annotation_file(tmp_path, "train").path.name == "labels.json"


@pytest.mark.parametrize("name", ["../a.png", "..\\a.png", "C:\\..\\a.png", "/", ""])
def test_names_that_lead_out_of_the_data_set_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="leads out of the data set"):
        inner_path(name, Path("x.json"))


def test_of_an_address_the_path_counts() -> None:
    assert inner_path("https://host:80/data/a b.png?x=1", Path("x.json")) == "data/a b.png"
    assert inner_path("s3://bucket/a.png", Path("x.json")) == "a.png"
    with pytest.raises(DataError, match="leads out of the data set"):
        inner_path("https://host", Path("x.json"))


@pytest.mark.parametrize(
    "start",
    [
        "https://host/set/",
        "C:\\\\data\\\\set\\\\",
        "\\\\\\\\host\\\\share\\\\set\\\\",
        "/home/anna/set/",
    ],
)
@pytest.mark.parametrize("folder", ["images", ""])
def test_absolute_names_of_another_machine_are_found_by_their_ends(
    start: str, folder: str, tmp_path: Path
) -> None:
    names = [f"images/im_{k}.png" for k in range(9)]
    write(tmp_path / "labels.json", names, tmp_path)
    text = (tmp_path / "labels.json").read_text()
    (tmp_path / "labels.json").write_text(text.replace("images/im", f"{start}images/im"))
    if not folder:  # only the last part of the name is left
        for path in (tmp_path / "images").iterdir():
            path.rename(tmp_path / path.name)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.num_read == 9


def test_an_image_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", ["a.png", "b.png", "a.png"], tmp_path)
    with pytest.raises(DataError, match=r"lists the image .*a\.png several times"):
        read_labelled_source(DataConfig(name="coco", root=tmp_path), "train")
