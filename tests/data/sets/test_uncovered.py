"""Pixels under no shape: background where there is one, and never the user's first class."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.errors import DataError

SHAPES = (("cat", 0, 2), ("dog", 4, 6))
"""Label, first and last column of a box over the whole height of an image of 8 x 6 pixels."""


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path)


def labelme(root: Path) -> None:
    photo(root / "a.png")
    shapes = [
        {"label": label, "shape_type": "rectangle", "points": [[left, 0], [right, 6]]}
        for label, left, right in SHAPES
    ]
    content = {"shapes": shapes, "imagePath": "a.png", "imageHeight": 6, "imageWidth": 8}
    (root / "a.json").write_text(json.dumps(content))


def cvat(root: Path) -> None:
    photo(root / "a.png")
    boxes = "".join(
        f'<box label="{label}" xtl="{left}" ytl="0" xbr="{right}" ybr="6"/>'
        for label, left, right in SHAPES
    )
    image = f'<image id="0" name="a.png" width="8" height="6">{boxes}</image>'
    (root / "annotations.xml").write_text(f"<annotations>{image}</annotations>")


def label_studio(root: Path) -> None:
    photo(root / "a.png")
    result = [
        {
            "type": "rectanglelabels",
            "original_width": 8,
            "original_height": 6,
            "value": {
                "x": left * 12.5,
                "y": 0,
                "width": (right - left) * 12.5,
                "height": 100,
                "rectanglelabels": [label],
            },
        }
        for label, left, right in SHAPES
    ]
    task = {"data": {"image": "/data/upload/1/a.png"}, "annotations": [{"result": result}]}
    (root / "export.json").write_text(json.dumps([task]))


def supervisely(root: Path) -> None:
    photo(root / "ds" / "img" / "a.png")
    (root / "ds" / "ann").mkdir()
    classes = [{"title": label, "shape": "rectangle"} for label, _, _ in SHAPES]
    (root / "meta.json").write_text(json.dumps({"classes": classes}))
    objects = [
        {
            "classTitle": label,
            "geometryType": "rectangle",
            "points": {"exterior": [[left, 0], [right - 1, 5]], "interior": []},
        }
        for label, left, right in SHAPES
    ]
    content = {"size": {"height": 6, "width": 8}, "objects": objects}
    (root / "ds" / "ann" / "a.png.json").write_text(json.dumps(content))


def via(root: Path) -> None:
    photo(root / "a.png")
    regions = [
        {
            "shape_attributes": {
                "name": "rect",
                "x": left,
                "y": 0,
                "width": right - left,
                "height": 6,
            },
            "region_attributes": {"label": label},
        }
        for label, left, right in SHAPES
    ]
    (root / "via.json").write_text(json.dumps({"a": {"filename": "a.png", "regions": regions}}))


def yolo(root: Path) -> None:
    photo(root / "images" / "a.png")
    (root / "labels").mkdir()
    lines = [
        f"{number} {left / 8} 0 {right / 8} 0 {right / 8} 1 {left / 8} 1"
        for number, (_, left, right) in enumerate(SHAPES)
    ]
    (root / "labels" / "a.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("names: [cat, dog]\n")


WRITERS: dict[str, Callable[[Path], None]] = {
    "labelme": labelme,
    "cvat": cvat,
    "label_studio": label_studio,
    "supervisely": supervisely,
    "via": via,
    "yolo": yolo,
}


def read(name: str, root: Path, *classes: str) -> tuple[list[int], tuple[str, ...], str]:
    """Give the class of every column, the names of the classes, and the notes."""
    config = DataConfig(name=name, root=root, classes=classes, split_shares=(1.0, 0.0, 0.0))
    source, labels, decoder = read_labelled_source(config, "train")
    mask = source.decode(source.records[0], decoder).mask
    assert (mask == mask[:1]).all()
    return mask[0].tolist(), labels.classes, " ".join(source.notes)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("classes", "columns"),
    [
        ((), [1, 1, 0, 0, 2, 2, 0, 0]),
        (("background", "cat", "dog"), [1, 1, 0, 0, 2, 2, 0, 0]),
        (("dog", "cat", "Background"), [1, 1, 2, 2, 0, 0, 2, 2]),
        (("ground", "dog", "cat"), [2, 2, 0, 0, 1, 1, 0, 0]),
        (("dog", "cat"), [1, 1, 255, 255, 0, 0, 255, 255]),
        (("cat", "dog", "bird"), [0, 0, 255, 255, 1, 1, 255, 255]),
    ],
)
def test_pixels_under_no_shape_are_background_or_void(
    name: str, classes: tuple[str, ...], columns: list[int], tmp_path: Path
) -> None:
    WRITERS[name](tmp_path)
    found, names, notes = read(name, tmp_path, *classes)
    assert found == columns
    assert names == (classes or ("background", "cat", "dog"))
    assert ("names no background, so pixels under no shape are void" in notes) == (255 in columns)


@pytest.mark.parametrize(
    ("classes", "columns"),
    [
        (("background", "tiger", "wolf"), [1, 1, 0, 0, 2, 2, 0, 0]),
        (("ground", "tiger", "wolf"), [1, 1, 0, 0, 2, 2, 0, 0]),
        (("tiger", "wolf"), [0, 0, 255, 255, 1, 1, 255, 255]),
    ],
)
def test_numbers_of_yolo_take_other_names_in_their_order(
    classes: tuple[str, ...], columns: list[int], tmp_path: Path
) -> None:
    yolo(tmp_path)
    assert read("yolo", tmp_path, *classes)[0] == columns


def test_yolo_with_background_among_its_names_keeps_its_numbers(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [background, dog]\n")
    assert read("yolo", tmp_path)[:2] == ([0, 0, 0, 0, 1, 1, 0, 0], ("background", "dog"))


def test_other_numbers_of_names_are_refused(tmp_path: Path) -> None:
    yolo(tmp_path)
    with pytest.raises(
        DataError, match=r"names the classes cat, dog, but data\.classes names a, b"
    ):
        read("yolo", tmp_path, "a", "b", "c", "d")
