"""Which image a mask is of, and of which class, told by names alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from segloom.data.mask_names import assign_masks, class_words, masks_among


def files(*names):
    """Map keys, paths without ending, to the files of these names."""
    return {Path(name).with_suffix(""): Path("root", name) for name in names}


def assigned(images, masks):
    """Give every image's key its masks as (name, label), and the names of those of none."""
    found, lonely = assign_masks(files(*images), files(*masks))
    return (
        {
            key.as_posix(): [(m.path.relative_to("root").as_posix(), m.label) for m in members]
            for key, members in found.items()
        },
        [path.relative_to("root").as_posix() for path in lonely],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("_mask_nucleus_12", "nucleus"),
        ("nucleus3", "nucleus"),
        ("-Object (2)", ""),
        ("seg-left lung [4]", "left lung"),
        ("maskrope", "maskrope"),
        ("bandmask", "bandmask"),
        ("3_cell_mask", "cell"),
        ("3d_cell", "3d_cell"),
        ("MASK_GT", ""),
        ("12", ""),
        ("", ""),
        ("deadbeef1", ""),
        ("deadbeefs", "deadbeefs"),
        ("facade", "facade"),
        ("feedface", "feedface"),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", ""),
    ],
)
def test_words_and_numbers_that_name_no_class_are_taken_off(text, expected):
    assert class_words(text) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.png", "a_mask.png"], ["a_mask"]),
        (["a.png", "a2.png"], []),
        (["a.png", "b_mask.png"], []),
        (["x/a.png", "x/a-1.png", "y/a-1.png"], ["x/a-1"]),
        (["A.png", "a_cell_0.png"], ["a_cell_0"]),
        (["img/a.png", "masks/a.png"], ["masks/a"]),
        (["a/images/a.png", "a/Masks/0.png", "a/images/a_0.png"], ["a/Masks/0"]),
    ],
)
def test_masks_are_told_from_images_beside_them(names, expected):
    assert [key.as_posix() for key in masks_among(files(*names))] == expected


@pytest.mark.parametrize(
    ("mask", "label"),
    [
        ("x_nucleus_0.png", "nucleus"),
        ("x/nucleus_0.png", "nucleus"),
        ("nucleus/x_0.png", "nucleus"),
        ("x/masks/0.png", ""),
        ("x/x_nucleus.png", "nucleus"),
        ("x.png", ""),
        ("nucleus/masks/x.png", "nucleus"),
        ("X_nucleus.png", "nucleus"),
    ],
)
def test_every_place_of_a_class_is_read(mask, label):
    assert assigned(["x.png"], [mask]) == ({"x": [(mask, label)]}, [])


def test_the_longest_name_that_fits_is_the_image():
    found, lonely = assigned(["a.png", "a_1.png"], ["a_1_cell.png", "a_2_cell.png", "ab_cell.png"])
    assert found == {
        "a": [("a_2_cell.png", "cell")],
        "a_1": [("a_1_cell.png", "cell")],
    }
    assert lonely == ["ab_cell.png"]


def test_images_of_one_name_are_told_by_their_folders():
    found, lonely = assigned(
        ["s1/images/a.png", "s2/images/a.png"], ["s1/a_cell.png", "s2/a_cell.png", "a_cell.png"]
    )
    assert found == {
        "s1/images/a": [("s1/a_cell.png", "cell")],
        "s2/images/a": [("s2/a_cell.png", "cell")],
    }
    assert lonely == ["a_cell.png"]


def test_folders_name_images_only_if_they_do_for_all():
    images = ["cell.png", "x.png"]
    by_folder, _ = assigned(images, ["cell/x_0.png", "x/cell_0.png"])
    assert by_folder == {"cell": [("cell/x_0.png", "x")], "x": [("x/cell_0.png", "cell")]}
    by_name, lonely = assigned(images, ["cell/x_0.png", "cell_0.png"])
    assert by_name == {"cell": [("cell_0.png", "")], "x": [("cell/x_0.png", "cell")]}
    assert lonely == []


@pytest.mark.parametrize(
    ("mask", "spelling", "is_alone"),
    [("x_mask.png", "_mask", True), ("x_0.png", "_0", False), ("x_cell.png", "_cell", False)],
)
def test_a_name_that_neither_counts_nor_names_a_class_is_a_label_map(mask, spelling, is_alone):
    found, _ = assign_masks(files("x.png"), files(mask))
    (named,) = found[Path("x")]
    assert (named.spelling, named.is_alone) == (spelling, is_alone)
