"""Files of LabelMe: every kind of shape by its corners, and where the image is looked for."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.sets.labelme import is_here, read, read_shapes
from segloom.errors import DataError
from segloom.types import Record

ALL_TRAIN = (1.0, 0.0, 0.0)


def write(path, *shapes, **facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"shapes": shapes, "imagePath": "", **facts}))
    return path


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path)
    return path


def png(rows):
    file = io.BytesIO()
    Image.fromarray(np.array(rows, np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shapes(tmp_path, *entries, **facts):
    path = write(tmp_path / "a.json", *entries, **facts)
    return read_shapes(Record("a", tmp_path / "a.png", path), 6, 8, ())


def source(root, **options):
    config = DataConfig(name="labelme", root=root, split_shares=ALL_TRAIN, **options)
    return read(config, "train")


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        ("polygon", [[0, 1], [2, 3], [4, 5.5]], [0, 1, 2, 3, 4, 5.5]),
        (None, [[0, 1], [2, 3], [4, 5]], [0, 1, 2, 3, 4, 5]),
        ("rectangle", [[1, 2], [5, 4]], [1, 2, 5, 2, 5, 4, 1, 4]),
        ("rectangle", [[1, 2], [5, 2], [5, 4], [1, 4]], [1, 2, 5, 2, 5, 4, 1, 4]),
    ],
)
def test_outlines_are_their_corners(tmp_path, kind, points, expected):
    (shape,) = shapes(tmp_path, {"label": "cell", "shape_type": kind, "points": points})
    assert (shape.label, shape.polygons, shape.mask) == ("cell", [expected], None)


def test_a_circle_is_its_centre_and_a_point_of_its_edge(tmp_path):
    entry = {"label": "cell", "shape_type": "circle", "points": [[1, 2], [4, 6]]}
    (shape,) = shapes(tmp_path, entry)
    corners = np.array(shape.polygons[0]).reshape(-1, 2)
    np.testing.assert_allclose(np.hypot(*(corners - [1, 2]).T), 5)


@pytest.mark.parametrize(
    ("corner", "rows", "columns"),
    [([3, 1], slice(1, 3), slice(3, 6)), ([6, 5], slice(5, 6), slice(6, 8))],
)
def test_a_mask_lies_at_its_corner_and_is_cut_at_the_border(tmp_path, corner, rows, columns):
    part = np.array([[1, 0, 255], [0, 1, 1]], np.uint8)
    entry = {"label": "cell", "shape_type": "mask", "points": [corner], "mask": png(part)}
    (shape,) = shapes(tmp_path, entry)
    expected = np.zeros((6, 8), bool)
    expected[rows, columns] = part[: rows.stop - rows.start, : columns.stop - columns.start] > 0
    assert (shape.mask == expected).all()


def test_shapes_keep_the_order_of_the_file(tmp_path):
    triangle = [[0, 0], [1, 0], [1, 1]]
    found = shapes(tmp_path, *({"label": name, "points": triangle} for name in ("b", "a", 3)))
    assert [shape.label for shape in found] == ["b", "a", "3"]


@pytest.mark.parametrize("facts", [{}, {"imageHeight": None, "imageWidth": None}])
def test_a_file_need_not_state_the_size(tmp_path, facts):
    assert shapes(tmp_path, **facts) == []


@pytest.mark.parametrize("facts", [{"imageHeight": 5}, {"imageWidth": 6}])
def test_another_size_is_refused(tmp_path, facts):
    with pytest.raises(DataError, match=r"is 8 x 6 pixels, but .*a\.json says .*; use the image"):
        shapes(tmp_path, **facts)


@pytest.mark.parametrize("kind", ["line", "linestrip", "point"])
def test_kinds_without_an_area_are_named(tmp_path, kind):
    with pytest.raises(DataError, match=f"a shape 'cell' of the kind {kind}, which has no area"):
        shapes(tmp_path, {"label": "cell", "shape_type": kind, "points": [[0, 0], [1, 1]]})


@pytest.mark.parametrize(
    "entry",
    [
        {"points": [[0, 0], [1, 0], [1, 1]]},
        {"label": "a", "points": [[0], [1]]},
        {"label": "a", "shape_type": "rectangle", "points": []},
        {"label": "a", "shape_type": "circle", "points": [[0, 0]]},
        "text",
    ],
)
def test_damaged_shapes_name_the_file(tmp_path, entry):
    with pytest.raises(DataError, match=r"a\.json is no file of LabelMe or is damaged"):
        shapes(tmp_path, entry)


@pytest.mark.parametrize(
    ("named", "image"),
    [
        ("b.png", "b.png"),
        ("../images/a.png", "images/a.png"),
        ("..\\images\\a.png", "images/a.png"),
        ("C:\\far\\b.png", "json/b.png"),
        ("/far/b.png", "json/b.png"),
        ("gone.png", "json/a.JPG"),
        ("", "json/a.JPG"),
    ],
)
def test_the_image_is_where_the_file_says_or_beside_it(tmp_path, named, image):
    image = f"json/{image}" if image == "b.png" else image
    expected = picture(tmp_path / image)
    triangle = {"label": "cell", "points": [[0, 0], [1, 0], [1, 1]]}
    write(tmp_path / "json/a.json", triangle, imagePath=named)
    (record,) = source(tmp_path).records
    assert record.image.resolve() == expected.resolve()


def test_labels_are_sorted_unless_a_list_orders_them(tmp_path):
    triangle = [[0, 0], [1, 0], [1, 1]]
    for name, label in (("a", "dirt"), ("b", "cell")):
        picture(tmp_path / f"{name}.png")
        write(tmp_path / f"{name}.json", {"label": label, "points": triangle})
    assert source(tmp_path).labels.classes == ("background", "cell", "dirt")
    (tmp_path / "labels.txt").write_text("__ignore__\ndirt\ncell\n")
    assert source(tmp_path).labels.classes == ("background", "dirt", "cell")
    assert source(tmp_path, classes=("cell", "background")).labels.classes[0] == "cell"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"shapes": [], "imagePath": "a.png"}', True),
        ('{"shapes": {}, "imagePath": "a.png"}', False),
        ('{"shapes": []}', False),
        ("[]", False),
        ("{", False),
    ],
)
def test_other_json_files_are_not_taken_for_them(tmp_path, content, expected):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.json").write_text(content)
    assert is_here(tmp_path) is expected
    if not expected:
        with pytest.raises(DataError, match=r"holds no JSON file of LabelMe; set data\.root"):
            source(tmp_path)
