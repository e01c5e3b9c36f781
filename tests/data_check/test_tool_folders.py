"""Folders of labelling tools as they lie on disks: odd files, odd names, the user's classes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data_check import DataReport, check

NUMBER = 8


def photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def labelme(root: Path, change: Callable[[dict[str, Any], int], None] | None = None) -> Path:
    for number in range(NUMBER):
        photo(root / f"a{number}.png", number)
        shapes = [
            {"label": "cat", "shape_type": "rectangle", "points": [[0, 0], [3, 6]]},
            {"label": "dog", "shape_type": "rectangle", "points": [[5, 0], [8, 6]]},
        ]
        content = {
            "shapes": shapes,
            "imagePath": f"a{number}.png",
            "imageHeight": 6,
            "imageWidth": 8,
        }
        if change:
            change(content, number)
        (root / f"a{number}.json").write_text(json.dumps(content))
    return root


def coco(root: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    for number in range(NUMBER):
        photo(root / f"a{number}.png", number)
        facts = {"id": number, "file_name": f"a{number}.png", "height": 6, "width": 8}
        content["images"].append(facts)
        for category, left in ((1, 0), (2, 5)):
            outline = [left, 0, left + 3, 0, left + 3, 6, left, 6]
            content["annotations"].append(
                {"id": 1, "image_id": number, "category_id": category, "segmentation": [outline]}
            )
    if change:
        change(content)
    (root / "labels.json").write_text(json.dumps(content))
    return root


def yolo(root: Path, text: str = "0 0 0 .375 0 .375 1 0 1\n1 .625 0 1 0 1 1 .625 1\n") -> Path:
    for number in range(NUMBER):
        photo(root / "Images" / f"a{number}.png", number)
        (root / "Labels").mkdir(exist_ok=True)
        (root / "Labels" / f"a{number}.txt").write_text(text)
    (root / "data.yaml").write_text("names: [cat, dog]\n")
    return root


def cvat(root: Path, shapes: str, further: str = "") -> Path:
    images = ""
    for number in range(NUMBER):
        photo(root / f"a{number}.png", number)
        images += f'<image id="1" name="a{number}.png" width="8" height="6">{shapes}</image>'
    (root / "annotations.xml").write_text(f"<annotations>{images}{further}</annotations>")
    return root


def rows(report: DataReport) -> set[tuple[int, ...]]:
    """The columns of every label map, as training gets them."""
    assert report.is_fine, report.findings
    found = set()
    for split in ("train", "val", "test"):
        config = DataConfig.model_validate(report.options)
        source, _, decoder = read_labelled_source(config, split)
        for record in source.records:
            mask = source.decode(record, decoder).mask
            assert (mask == mask[:1]).all()
            found.add(tuple(mask[0].tolist()))
    return found


def said(report: DataReport) -> str:
    return " ".join((*(one.message for one in report.findings), *all_files(report)))


def all_files(report: DataReport) -> list[str]:
    return [file for one in report.findings for file in one.files]


PLAIN = {(1, 1, 1, 0, 0, 2, 2, 2)}


@pytest.mark.parametrize("write", [labelme, coco, yolo])
def test_the_classes_of_the_user_do_not_hide_the_tool(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = write(tmp_path)
    names = ("background", "cat", "dog")
    assert rows(check(root, classes=names)) == PLAIN
    assert check(root, classes=("dog", "background", "cat")).options["classes"][0] == "dog"


def test_classes_that_coco_does_not_take_are_a_problem_and_no_crash(tmp_path: Path) -> None:
    report = check(coco(tmp_path), classes=("cat", "dog"))
    assert "is not a reordering of the classes" in said(report)
    assert not report.is_fine


@pytest.mark.parametrize("write", [labelme, coco, yolo])
def test_what_macos_and_storage_boxes_put_beside_files_is_passed_over(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = write(tmp_path)
    files = [path for path in root.rglob("*.*") if path.is_file()]
    for path in files:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
        for folder in ("__MACOSX", "@eaDir"):
            other = root / folder / path.relative_to(root)
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, other)
    (root / "Thumbs.db").touch()
    (root / ".DS_Store").touch()
    assert rows(check(root)) == PLAIN


@pytest.mark.parametrize("write", [labelme, coco])
def test_images_without_outlines_are_told(write: Callable[[Path], Path], tmp_path: Path) -> None:
    root = write(tmp_path)
    photo(root / "z.png", 99)
    report = check(root)
    assert rows(report) == PLAIN
    assert "1 images have no outlines and are left out" in said(report)


def test_an_image_without_a_text_file_is_background_and_told(tmp_path: Path) -> None:
    root = yolo(tmp_path)
    (root / "Labels" / "a0.txt").unlink()
    report = check(root)
    assert rows(report) == PLAIN | {(0,) * 8}
    assert "have no text file and count as background throughout" in said(report)


def test_labels_that_differ_in_capitals_or_spaces_alone_are_told(tmp_path: Path) -> None:
    def change(content: dict[str, Any], number: int) -> None:
        content["shapes"][0]["label"] = ("cat", "Cat", "cat ")[number % 3]

    report = check(labelme(tmp_path, change))
    assert "the labels 'Cat', 'cat', 'cat ' differ in capitals or spaces alone" in said(report)


@pytest.mark.parametrize("name", ["Background", "_background_"])
def test_every_spelling_of_background_is_the_background(name: str, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["categories"][0]["name"] = name

    report = check(coco(tmp_path / "coco", change))
    assert rows(report) == {(0, 0, 0, 0, 0, 1, 1, 1)}

    def rename(content: dict[str, Any], number: int) -> None:
        content["shapes"][0]["label"] = name

    assert rows(check(labelme(tmp_path / "labelme", rename))) == {(0, 0, 0, 0, 0, 1, 1, 1)}


def test_shapes_over_every_pixel_need_no_background(tmp_path: Path) -> None:
    shapes = (
        '<box label="dog" xtl="0" ytl="0" xbr="2" ybr="6" z_order="3"/>'
        '<polygon label="cat" points="0,0;8,0;8,6;0,6" z_order="-1"/>'
    )
    report = check(cvat(tmp_path, shapes))
    assert rows(report) == {(1, 1, 0, 0, 0, 0, 0, 0)}
    assert report.options["classes"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 0 3 0 3 6 0 6", "divide pixels by the size of the image"),
        ("0.5 0 0 .3 0 .3 .6", "is no class and shares"),
        ("0 .5 .5 .2 .2", "five words are a box"),
        ("inf 0 0 .3 0 .3 .6", "cannot convert float infinity"),
        ("7 0 0 .3 0 .3 .6", "has the class 7, but there are 2 names"),
    ],
)
def test_other_numbers_than_yolos_are_refused_with_the_reason(
    text: str, message: str, tmp_path: Path
) -> None:
    report = check(yolo(tmp_path, text))
    assert not report.is_fine
    assert message in said(report)


def test_whole_numbers_with_a_point_are_classes(tmp_path: Path) -> None:
    text = "0.0 0 0 .375 0 .375 1 0 1\n1.0 .625 0 1 0 1 1 .625 1\n"
    assert rows(check(yolo(tmp_path, text))) == PLAIN


BOX = '<box label="cat" xtl="0" ytl="0" xbr="3" ybr="6"/>'


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (f'<image id="9" name="a0.png" width="8" height="6">{BOX}</image>', "lists a0.png twice"),
        ("<image", "no export of CVAT for images"),
    ],
)
def test_a_cvat_file_that_cannot_be_read_is_called_so(
    further: str, message: str, tmp_path: Path
) -> None:
    report = check(cvat(tmp_path, BOX, further))
    assert not report.is_fine
    assert message in said(report)


def test_tracks_of_a_video_are_called_so(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", 0)
    track = '<track id="0" label="cat"><polygon frame="0" points="0,0;3,0;3,6"/></track>'
    (tmp_path / "annotations.xml").write_text(f"<annotations>{track}</annotations>")
    assert "as an export of tracks does" in said(check(tmp_path))


def test_coco_objects_may_cover_every_pixel(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            left = 4 * (entry["category_id"] - 1)
            entry["segmentation"] = [[left, 0, left + 4, 0, left + 4, 6, left, 6]]

    assert rows(check(coco(tmp_path, change))) == {(1, 1, 1, 1, 2, 2, 2, 2)}


def test_images_that_outlines_name_by_another_way_are_not_left_out(tmp_path: Path) -> None:
    ways = ("../pictures/{}", str(tmp_path / "pictures/{}"))

    def change(content: dict[str, Any], number: int) -> None:
        photo(tmp_path / "pictures" / f"a{number}.png", number)
        (tmp_path / "outlines" / f"a{number}.png").unlink()
        content["imagePath"] = ways[number % 2].format(f"a{number}.png")

    labelme(tmp_path / "outlines", change)
    report = check(tmp_path)
    assert "left-out" not in {finding.kind for finding in report.findings}
    assert rows(report) == PLAIN


def test_outlines_may_be_of_images_outside_their_folder(tmp_path: Path) -> None:
    def change(content: dict[str, Any], number: int) -> None:
        photo(tmp_path / "pictures" / f"a{number}.png", number)
        (tmp_path / "outlines" / f"a{number}.png").unlink()
        content["imagePath"] = str(tmp_path / "pictures" / f"a{number}.png")

    assert rows(check(labelme(tmp_path / "outlines", change))) == PLAIN


def test_nothing_is_left_out_of_a_folder_of_which_nothing_could_be_read(tmp_path: Path) -> None:
    root = labelme(tmp_path, lambda content, _: content.update(imagePath="gone.png"))
    for picture in root.glob("*.png"):
        picture.rename(picture.with_suffix(".jpg.png"))
    report = check(root)
    assert not report.is_fine
    assert "left-out" not in {finding.kind for finding in report.findings}
