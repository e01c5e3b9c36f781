"""Text files of YOLO segmentation: names, numbers, order, places, and lines that are none."""

from __future__ import annotations

import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.sets.yolo import is_here, read, read_shapes
from segloom.errors import DataError, NoSplitError
from segloom.types import Record

ALL_TRAIN = (1.0, 0.0, 0.0)
TRIANGLE = "0 0 0 1 0 1 1"


def picture(path, size=(8, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())


def shapes(tmp_path, content, names=("cell", "dirt")):
    text(tmp_path / "a.txt", content)
    record = Record("a", tmp_path / "a.png", tmp_path / "a.txt")
    return read_shapes(record, 4, 8, names)


def pairs(root, split="train", **options):
    config = DataConfig(name="yolo", root=root, split_shares=ALL_TRAIN, **options)
    return {
        r.image.relative_to(root).as_posix(): r.mask.relative_to(root).as_posix()
        for r in read(config, split).records
    }


def test_x_is_a_share_of_the_width_and_y_of_the_height(tmp_path):
    (shape,) = shapes(tmp_path, "1 0.25 0.5 1 0.25 0 1\n")
    assert shape.label == "dirt"
    assert shape.polygons == [[2.0, 2.0, 8.0, 1.0, 0.0, 4.0]]
    assert shape.mask is None


def test_larger_shapes_come_first_whichever_way_they_turn(tmp_path):
    small, middle, large = "0 0 0 .5 0 .5 .5", "1 0 0 0 .5 1 .5 1 0", "0 0 0 1 0 1 1 0 1"
    found = shapes(tmp_path, f"{small}\n{large}\n\n{middle}\n")
    assert [shape.polygons[0][2:6] for shape in found] == [
        [8, 0, 8, 4],
        [0, 2, 8, 2],
        [4, 0, 4, 2],
    ]


def test_shapes_of_one_size_keep_the_order_of_the_file(tmp_path):
    found = shapes(tmp_path, "1 0 0 1 0 1 1\n0 0 0 0 1 1 1\n")
    assert [shape.label for shape in found] == ["dirt", "cell"]


def test_coordinates_may_reach_outside_and_a_class_may_be_a_whole_fraction(tmp_path):
    (shape,) = shapes(tmp_path, "1.0 -2 0 2 0 1 1\n")
    assert (shape.label, shape.polygons) == ("dirt", [[-16, 0, 16, 0, 8, 4]])


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_an_empty_file_holds_no_shape(tmp_path, content):
    assert shapes(tmp_path, content) == []


def test_a_missing_file_holds_no_shape(tmp_path):
    assert read_shapes(Record("a", tmp_path / "a.png", tmp_path / "b.txt"), 4, 8, ("x",)) == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("0 0 0 1 0", r"a\.txt, line 2 has 5 words; a polygon is a class and three corners"),
        ("0 0 0 1 0 1", r"line 2 has 6 words"),
        ("0 0 0 1 0 1 1 0", r"line 2 has 8 words"),
        (
            "2 0 0 1 0 1 1",
            r"line 2 has the class 2, but there are 2 names \(cell, dirt\);",
        ),
        ("-1 0 0 1 0 1 1", r"line 2 has the class -1"),
        ("0.5 0 0 1 0 1 1", r"line 2 is no class and shares of the width and height \(0\.5 0 0"),
        ("0 0 0 2.5 0 1 1", r"line 2 is no class and shares .*; divide pixels by the size"),
        ("0 0 0 1 -2.5 1 1", r"line 2 is no class and shares"),
        ("cell 0 0 1 0 1 1", r"line 2: could not convert .*; export it again"),
        ("inf 0 0 1 0 1 1", r"line 2: .*; export it again"),
        ("0 0 0 nan 0 1 1", r"line 2 is no class and shares"),
    ],
)
def test_lines_that_are_no_polygons_are_named_with_their_number(tmp_path, line, sentence):
    with pytest.raises(DataError, match=sentence):
        shapes(tmp_path, f"{TRIANGLE}\n{line}\n")


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"a\.txt is no text; export it again"):
        read_shapes(Record("a", tmp_path / "a.png", tmp_path / "a.txt"), 4, 8, ("x",))


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("images/a.png", "labels/a.txt"),
        ("images/train/a.png", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("images/train/images/a.png", "images/train/labels/a.txt"),
    ],
)
def test_the_text_file_lies_under_labels_where_the_image_lies_under_images(tmp_path, image, labels):
    picture(tmp_path / image)
    picture((tmp_path / image).with_name("empty.png"))
    picture(tmp_path / "other" / "b.png")
    text(tmp_path / labels, TRIANGLE)
    text(tmp_path / "classes.txt", "cell\n")
    empty = str(labels).replace("a.txt", "empty.txt")
    assert pairs(tmp_path) == {image: labels, image.replace("a.png", "empty.png"): empty}


def test_folders_divide_the_images(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path / split / "images" / f"{split}.png")
        text(tmp_path / split / "labels" / f"{split}.txt", TRIANGLE)
    assert list(pairs(tmp_path, "val", classes=("background", "cell"))) == [
        "valid/images/valid.png"
    ]
    with pytest.raises(NoSplitError, match=r"no split test \(it has train, val\)"):
        pairs(tmp_path, "test", classes=("background", "cell"))


def test_images_without_a_text_file_are_counted_in_a_note(tmp_path):
    for name in "abc":
        picture(tmp_path / "images" / f"{name}.png")
    text(tmp_path / "labels" / "b.txt", "")
    text(tmp_path / "labels" / "classes.txt", "cell\n")
    source = read(DataConfig(name="yolo", root=tmp_path, split_shares=ALL_TRAIN), "train")
    (note,) = source.notes
    assert note.startswith("2 images of train have no text file and count as background")
    assert note.endswith("a.png.")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("data.yaml", "names: [b, a]\n", ("background", "b", "a")),
        ("data.yaml", "names: {10: c, 2: b, 0: a}\n", ("background", "a", "b", "c")),
        ("dataset.yaml", "names: [7, x]\n", ("background", "7", "x")),
        ("classes.txt", "\ufeffb\r\n\r\na\r\n", ("background", "b", "a")),
    ],
)
def test_names_are_in_the_order_of_their_numbers(tmp_path, name, content, expected):
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", TRIANGLE)
    text(tmp_path / name, content)
    source = read(DataConfig(name="yolo", root=tmp_path, split_shares=ALL_TRAIN), "train")
    assert source.labels.classes == expected


@pytest.mark.parametrize("content", ["path: x\n", "names: 3\n", "names: {a: b}\n", "- names\n"])
def test_a_list_of_names_that_is_none_is_named(tmp_path, content):
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", TRIANGLE)
    text(tmp_path / "data.yaml", content)
    with pytest.raises(DataError, match=r"data\.yaml has no list `names` of the classes"):
        pairs(tmp_path)


def test_a_folder_without_labels_beside_images_is_refused(tmp_path):
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match=r"holds no folder images with a folder labels of \.txt"):
        pairs(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TRIANGLE, True),
        ("0 .1 .1 .2 .2", True),
        ("0 1 2 3", False),
        ("", False),
        ("a b c d e", False),
    ],
)
def test_lines_of_five_numbers_or_more_are_taken_for_polygons_or_boxes(tmp_path, content, expected):
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", content)
    assert is_here(tmp_path) is expected


def test_text_files_may_lie_beside_their_images(tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / "train" / name)
    picture(tmp_path / "icons" / "c.png")
    text(tmp_path / "train" / "a.TXT", TRIANGLE)
    text(tmp_path / "classes.txt", "cell\n")
    assert is_here(tmp_path)
    assert pairs(tmp_path) == {"train/a.png": "train/a.TXT", "train/b.png": "train/b.txt"}


@pytest.mark.parametrize("content", ["0 .1 .1 .2 .2", "a cell on the left"])
def test_boxes_and_captions_beside_images_are_no_outlines(tmp_path, content):
    picture(tmp_path / "a.png")
    text(tmp_path / "a.txt", content)
    assert not is_here(tmp_path)
