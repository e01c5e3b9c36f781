"""Exports of CVAT: every kind of shape by its attributes, names of images, and damaged files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.sets.cvat import is_here, read, read_shapes
from segloom.errors import DataError
from segloom.types import Record

ALL_TRAIN = (1.0, 0.0, 0.0)
LABELS = "<meta><job><labels><label><name>{}</name></label></labels></job></meta>"


def write(root, *images, meta=""):
    """Write an export of images given as (name, shapes) or (name, shapes, further attributes)."""
    entries = "".join(
        f'<image name="{name}" width="8" height="6" {" ".join(facts)}>{shapes}</image>'
        for name, shapes, *facts in images
    )
    (root / "annotations.xml").write_text(f"<annotations>{meta}{entries}</annotations>")


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path)
    return path


def shapes(tmp_path, content, *, name="a.png", image="a.png", size=(6, 8)):
    write(tmp_path, (name, content))
    record = Record("a", tmp_path / image, tmp_path / "annotations.xml")
    return read_shapes(record, *size, ())


def source(root, split="train"):
    return read(DataConfig(name="cvat", root=root, split_shares=ALL_TRAIN), split)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('<polygon label="c" points="0,1;2.5,3;4,5"/>', [0, 1, 2.5, 3, 4, 5]),
        ('<box label="c" xtl="1" ytl="2" xbr="5" ybr="4"/>', [1, 2, 5, 2, 5, 4, 1, 4]),
        (
            '<box label="c" xtl="1" ytl="2" xbr="5" ybr="4" rotation="90"/>',
            [4, 1, 4, 5, 2, 5, 2, 1],
        ),
    ],
)
def test_outlines_are_their_corners_turned_around_their_centre(tmp_path, content, expected):
    (shape,) = shapes(tmp_path, content)
    assert shape.label == "c"
    assert shape.polygons == [pytest.approx(expected)]


@pytest.mark.parametrize(("rotation", "axes"), [(0, (3, 1)), (90, (1, 3))])
def test_an_ellipse_has_its_half_axes(tmp_path, rotation, axes):
    content = f'<ellipse label="c" cx="4" cy="2" rx="3" ry="1" rotation="{rotation}"/>'
    (shape,) = shapes(tmp_path, content)
    corners = np.array(shape.polygons[0]).reshape(-1, 2) - [4, 2]
    np.testing.assert_allclose(((corners / axes) ** 2).sum(axis=1), 1)


def test_runs_of_a_mask_begin_with_background_and_go_along_the_rows(tmp_path):
    content = '<mask label="c" rle="1, 3, 2" left="5" top="4" width="3" height="2"/>'
    (shape,) = shapes(tmp_path, content)
    expected = np.zeros((6, 8), bool)
    expected[4, 6:8] = expected[5, 5] = True
    assert (shape.mask == expected).all()


@pytest.mark.parametrize(
    "facts",
    [
        'rle="1,3,1" left="5" top="4" width="3" height="2"',
        'rle="1,3,3" left="5" top="4" width="3" height="2"',
        'rle="0,6" left="6" top="4" width="3" height="2"',
        'rle="0,6" left="5" top="5" width="3" height="2"',
        'rle="0,6" left="-1" top="4" width="3" height="2"',
        'rle="0,6" left="5" top="-1" width="3" height="2"',
        'rle="-1,7" left="5" top="4" width="3" height="2"',
    ],
)
def test_a_mask_fills_its_box_inside_the_image(tmp_path, facts):
    with pytest.raises(DataError, match=r"damaged shape in a\.png \(a mask does not fill its box"):
        shapes(tmp_path, f'<mask label="c" {facts}/>')


def test_shapes_are_ordered_by_z_order_then_as_in_the_file(tmp_path):
    box = '<box label="{}" xtl="0" ytl="0" xbr="1" ybr="1" {}/>'
    orders = {"top": 'z_order="10"', "a": 'z_order="2"', "b": 'z_order="2"', "low": "", "z": ""}
    content = "".join(box.format(label, order) for label, order in orders.items())
    found = shapes(tmp_path, f'{content}<tag label="whole"/>')
    assert [shape.label for shape in found] == ["low", "z", "a", "b", "top"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('<points label="c" points="1,1"/>', "a shape 'c' of the kind points, which has no area"),
        ('<polygon label="c" points="1,x;2,3;4,5"/>', r"damaged shape in a\.png \(could not conv"),
        ('<box label="c" xtl="1" ytl="2" xbr="5"/>', r"damaged shape in a\.png \('ybr'\); export"),
    ],
)
def test_shapes_that_cannot_be_drawn_are_named(tmp_path, content, sentence):
    with pytest.raises(DataError, match=sentence):
        shapes(tmp_path, content)


def test_an_image_of_another_size_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"is 6 x 8 pixels, but .*annotations\.xml says 8 x 6"):
        shapes(tmp_path, "", size=(8, 6))


ENTRY = '<image name="a" width="1" height="1"/>'
BOX = '<box label="{}" xtl="0" ytl="0" xbr="1" ybr="1"/>'


@pytest.mark.parametrize(
    ("names", "image", "expected"),
    [
        (("a.png", "x/a.png"), "x/a.png", "x/a.png"),
        (("a.png", "x/a.png"), "y/a.png", "a.png"),
        (("a.png", "B.PNG"), "b.png", "B.PNG"),
        (("far/x/a.png", "far/y/a.png"), "y/a.png", "far/y/a.png"),
    ],
)
def test_the_entry_of_an_image_is_the_one_with_the_longest_end(tmp_path, names, image, expected):
    write(tmp_path, *((name, BOX.format(name)) for name in names))
    record = Record("a", tmp_path / image, tmp_path / "annotations.xml")
    assert [shape.label for shape in read_shapes(record, 6, 8, ())] == [expected]


def test_an_image_without_an_entry_is_named(tmp_path):
    with pytest.raises(DataError, match=r"annotations\.xml does not name the image .*b\.jpg"):
        shapes(tmp_path, "", image="b.jpg")


def test_classes_are_the_labels_of_the_task_else_those_of_its_shapes(tmp_path):
    picture(tmp_path / "images" / "a.png")
    write(tmp_path, ("a.png", BOX.format("dirt") + BOX.format("cell")))
    assert source(tmp_path).labels.classes == ("background", "cell", "dirt")
    write(tmp_path, ("a.png", BOX.format("dirt")), meta=LABELS.format("rust"))
    assert source(tmp_path).labels.classes == ("background", "rust")


def test_subsets_go_before_folders(tmp_path):
    images = [picture(tmp_path / name) for name in ("train/a.png", "train/b.png")]
    write(
        tmp_path,
        ("train/a.png", BOX.format("c"), 'subset="Validation"'),
        ("train/b.png", BOX.format("c"), 'subset="other"'),
    )
    assert [record.image for record in source(tmp_path, "val").records] == images[:1]
    assert source(tmp_path, "train").records == ()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("<!DOCTYPE a><annotations/>", "it declares a DOCTYPE"),
        ("<osm/>", "its root is osm"),
        ('<annotations><image width="1" height="1"/></annotations>', "'name'"),
        ('<annotations><image name="a" width="x" height="1"/></annotations>', "invalid literal"),
        (
            f"<annotations>{ENTRY}{ENTRY}</annotations>",
            "it lists a twice, as jobs do that share an image",
        ),
    ],
)
def test_a_damaged_export_is_still_recognised_and_named(tmp_path, content, sentence):
    (tmp_path / "annotations.xml").write_text(content)
    assert is_here(tmp_path) is ("<annotations" in content)
    with pytest.raises(DataError, match=rf"no export of CVAT for images 1\.1 \({sentence}"):
        source(tmp_path)


def test_an_export_that_is_missing_or_lists_no_image_is_named(tmp_path):
    assert not is_here(tmp_path)
    with pytest.raises(DataError, match=r"annotations\.xml cannot be read \(No such file"):
        source(tmp_path)
    write(tmp_path)
    assert is_here(tmp_path)
    with pytest.raises(DataError, match=r"annotations\.xml lists no image, as an export of tracks"):
        source(tmp_path)


def test_several_exports_lie_in_folders_of_their_own(tmp_path):
    for job, label in (("job_1", "dirt"), ("job_2", "cell")):
        picture(tmp_path / job / "images" / "a.png")
        write(tmp_path / job, ("a.png", BOX.format(label)))
    picture(tmp_path / "images" / "b.png")
    (tmp_path / "job_3").mkdir()
    write(tmp_path / "job_3", ("b.png", BOX.format("dirt")))
    assert is_here(tmp_path)
    found = source(tmp_path)
    assert found.labels.classes == ("background", "dirt", "cell")
    assert [record.mask.parent.name for record in found.records] == ["job_1", "job_2", "job_3"]
    shapes = [read_shapes(record, 6, 8, ())[0].label for record in found.records]
    assert shapes == ["dirt", "cell", "dirt"]


def test_one_image_in_two_exports_is_refused(tmp_path):
    picture(tmp_path / "images" / "a.png")
    for job in ("job_1", "job_2"):
        (tmp_path / job).mkdir()
        write(tmp_path / job, ("a.png", BOX.format("cell")))
    with pytest.raises(
        DataError, match=r"job_1.annotations.xml and a.png of .*job_2.* both of the"
    ):
        source(tmp_path)
