"""What readers of labelling tools share: outlines, names, files of a split, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.sets.shapes import (
    BACKGROUND,
    Shape,
    ShapeDecoder,
    begins_with,
    check_drawn_size,
    class_names,
    ellipse,
    find_image,
    images_by_name,
    load_json,
    name_list,
    pair_once,
    rectangle,
    shape_source,
    split_files,
    turned,
    uncovered_class,
)
from segloom.data.source import SPLITS
from segloom.errors import DataError, NoSplitError
from segloom.labels.decoder import make_decoder
from segloom.types import Record


def test_a_rectangle_goes_around_from_its_upper_left_corner():
    assert rectangle(1, 2, 5, 9) == [1, 2, 5, 2, 5, 9, 1, 9]


def test_an_ellipse_has_its_half_axes_along_x_and_y():
    points = np.array(ellipse(10, 20, 4, 2)).reshape(-1, 2)
    assert points[[0, 16, 32, 48]].tolist() == pytest.approx(
        np.array([[14, 20], [10, 22], [6, 20], [10, 18]])
    )
    np.testing.assert_allclose(((points - [10, 20]) ** 2 / [16, 4]).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(0, [4, 2, 3, 5]), (90, [3, 3, 0, 2]), (180, [2, 2, 3, -1]), (-90, [3, 1, 6, 2])],
)
def test_outlines_turn_clockwise_with_y_downwards(degrees, expected):
    assert turned([4, 2, 3, 5], degrees, 3, 2) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("classes", "found", "expected"),
    [
        (("sky", "sea"), ["x"], ("sky", "sea")),
        ((), ["dirt", "cell"], (BACKGROUND, "dirt", "cell")),
        ((), ["_Background_", "Void", "__ignore__", "cell"], (BACKGROUND, "cell")),
    ],
)
def test_classes_are_those_of_the_user_or_background_and_the_labels(classes, found, expected):
    assert class_names(DataConfig(classes=classes), found) == expected


def test_a_label_map_holds_254_labels_besides_the_background():
    names = [f"n{number}" for number in range(255)]
    assert len(class_names(DataConfig(), names[:254])) == 255
    with pytest.raises(DataError, match="has 255 labels, but label maps hold at most 254 besides"):
        class_names(DataConfig(), names)
    with pytest.raises(DataError, match=r"has no labelled object; label some, or set data.classes"):
        class_names(DataConfig(), ["background", "void"])


@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        (("cell", "background"), ["cell"], 1),
        (("rest", "cell"), ["cell"], 0),
        (("cell", "dirt"), ["cell", "dirt"], 255),
        (("cell", "dirt"), ["dirt"], 0),
    ],
)
def test_pixels_under_no_shape_are_of_the_background_if_there_is_one(classes, labels, expected):
    assert uncovered_class(classes, labels) == expected


def test_an_edited_file_is_read_again_and_a_bad_one_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[1]")
    assert load_json(path, "Tool") == [1]
    path.write_text("[1")
    with pytest.raises(DataError, match=r"a\.json is no file of Tool or is damaged \(.*save it ag"):
        load_json(path, "Tool")
    path.unlink()
    with pytest.raises(DataError, match=r"a\.json cannot be read \(No such file or directory\)"):
        load_json(path, "Tool")


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b'{"a": 1}', True), (b"\xef\xbb\xbf \n\t{", True), (b"[{", False), (b"", False)],
)
def test_the_first_character_is_looked_at_behind_a_mark_and_spaces(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    assert begins_with(tmp_path / "a", b"{") is expected
    assert begins_with(tmp_path / "missing", b"{") is False


def test_sizes_are_told_as_width_by_height(tmp_path):
    record = Record("a", tmp_path / "a.png", tmp_path / "a.json")
    check_drawn_size(record, (6, 8), 6, 8)
    with pytest.raises(DataError, match=r"a\.png is 8 x 6 pixels, but .*a\.json says 6 x 8; use"):
        check_drawn_size(record, (8, 6), 6, 8)


def test_names_come_from_the_first_list_without_empty_lines(tmp_path):
    assert name_list(tmp_path) == []
    (tmp_path / "obj.names").write_text("late\n")
    assert name_list(tmp_path) == ["late"]
    (tmp_path / "labels.txt").write_bytes("\ufeff cell \r\n\r\ndirt".encode())
    assert name_list(tmp_path) == ["cell", "dirt"]
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"labels\.txt cannot be read as text; save it as UTF-8"):
        name_list(tmp_path)


def test_an_image_is_found_under_its_whole_stem_in_any_capitals(tmp_path):
    for name in ("a.b.png", "a.txt", "C[1].JPG"):
        (tmp_path / name).touch()
    assert find_image(tmp_path / "a.b") == tmp_path / "a.b.png"
    assert find_image(tmp_path / "c[1]") == tmp_path / "C[1].JPG"
    assert find_image(tmp_path / "a") is None
    assert find_image(tmp_path / "nowhere" / "a") is None


def test_images_are_listed_by_their_names_in_all_folders(tmp_path):
    for name in ("x/a.png", "y/a.png", "y/B.JPG", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = images_by_name(tmp_path)
    assert found["a.png"] == [tmp_path / "x/a.png", tmp_path / "y/a.png"]
    assert found["B.JPG"] == found["b.jpg"] == [tmp_path / "y/B.JPG"]
    assert "notes.txt" not in found


def test_two_drawings_of_one_image_are_refused_by_their_names(tmp_path):
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    assert pair_once([(a, "one"), (b, "two")]) == {a: "one", b: "two"}
    with pytest.raises(DataError, match=r"one and two are both of the image .*a\.png; keep one"):
        pair_once([(a, "one"), (a, "two")])


def test_folders_divide_files_by_their_names_alone(tmp_path):
    files = [tmp_path / name for name in ("Train/a.x", "b/valid/c.x", "val.x", "train/d.x")]
    config = DataConfig()
    assert split_files(tmp_path, files, config, "train") == [files[0], files[3]]
    assert split_files(tmp_path, files, config, "val") == [files[1]]
    with pytest.raises(NoSplitError, match=r"has no split test \(it has train, val\)"):
        split_files(tmp_path, files, config, "test")


def test_files_of_a_group_stay_together_and_each_is_in_one_split(tmp_path):
    files = [tmp_path / f"{number:02}.x" for number in range(12)]
    groups = {path: f"g{number % 3}" for number, path in enumerate(files)}
    config = DataConfig(split_shares=(0.34, 0.33, 0.33))
    splits = [split_files(tmp_path, files, config, s, groups=groups) for s in SPLITS]
    # Three groups for three splits that must not be empty: one each.
    assert sorted(splits) == [files[0::3], files[1::3], files[2::3]]
    config = DataConfig(split_shares=(0, 1, 0))
    assert [split_files(tmp_path, files, config, s) for s in SPLITS] == [[], files, []]
    with pytest.raises(DataError, match="unknown split 'dev'; the splits are train, val, test"):
        split_files(tmp_path, files, config, "dev")


def drawn(record, height, width, names):
    """Two shapes that overlap, one of void, one of background; of a 4 x 3 image."""
    corner = np.zeros((height, width), bool)
    corner[0, 0] = True
    return [
        Shape(names[0], [rectangle(0, 0, 3, 2)]),
        Shape(names[1], [rectangle(2, 1, 4, 3)]),
        Shape("Ignore", [], corner),
        Shape("_background_", [rectangle(3, 2, 4, 3)]),
    ]


@pytest.mark.parametrize(
    ("classes", "uncovered", "expected"),
    [
        (("background", "a", "b"), 0, [[255, 1, 1, 0], [1, 1, 2, 2], [0, 0, 2, 0]]),
        (("a", "b", "rest"), 2, [[255, 0, 0, 2], [0, 0, 1, 1], [2, 2, 1, 2]]),
    ],
)
def test_later_shapes_lie_on_top(tmp_path, classes, uncovered, expected):
    image, labels = tmp_path / "a.png", tmp_path / "a.json"
    Image.new("RGB", (4, 3)).save(image)
    decoder = ShapeDecoder(classes, drawn, uncovered, numbered=("a", "b"))
    source = shape_source(tmp_path, {image: labels}, classes, decoder)
    assert [(r.id, r.image, r.mask) for r in source.records] == [("a", image, labels)]
    assert source.notes == ()
    found = decoder(source.records[0], make_decoder(len(classes), "index"))
    assert found.mask.tolist() == expected
