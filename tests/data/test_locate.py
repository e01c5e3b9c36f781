"""Names from other systems: backslashes, capitals, accents, and names that fit twice."""

from __future__ import annotations

import unicodedata

import pytest

from segloom.data.locate import (
    core,
    locate,
    plain_name,
    resolve_place,
    shared_stem,
    with_ending,
    without_anchor,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Images" / "Left").mkdir(parents=True)
    for name in ("a.png", "B.PNG", "caf\u00e9.png"):
        (tmp_path / "Images" / "Left" / name).touch()
    return tmp_path


def has_both(folder):
    """Tell whether the file system takes two names that differ in capitals alone."""
    (folder / "Images" / "Left" / "A.png").touch()
    return len(list((folder / "Images" / "Left").glob("*.png"))) == 3


def test_names_are_compared_composed_and_without_capitals():
    assert plain_name("Cafe\u0301") == plain_name("CAF\u00c9") == "caf\u00e9"
    assert plain_name("cafe") != plain_name("caf\u00e9")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("Images/Left/a.png", "a.png"),
        ("images/left/A.PNG", "a.png"),
        ("images/Left/b.png", "B.PNG"),
        (unicodedata.normalize("NFD", "Images/LEFT/caf\u00e9.png"), "caf\u00e9.png"),
        ("Images/../images/Left/a.png", "a.png"),
    ],
)
def test_a_path_is_found_whatever_its_capitals_and_accents(folder, written, found):
    assert resolve_place(folder, written).name == found


@pytest.mark.parametrize("written", ["Images/Left/c.png", "Images/Right/a.png", "Images/a.png/x"])
def test_what_is_not_there_is_none(folder, written):
    assert resolve_place(folder, written) is None


def test_a_name_as_it_is_wins_and_one_that_fits_twice_is_none(folder):
    if not has_both(folder):
        pytest.skip("this file system does not tell capitals apart")
    assert resolve_place(folder, "Images/Left/A.png").name == "A.png"
    assert resolve_place(folder, "images/left/a.png").name == "a.png"
    assert resolve_place(folder, "Images/Left/a.PNG") is None


def test_backslashes_divide_and_only_files_count(folder):
    assert locate("Images\\Left\\a.png", [folder]).name == "a.png"
    assert locate("images\\left\\A.PNG", [folder]).name == "a.png"
    assert locate("Images/Left", [folder]) is None
    assert locate("nothing.png", [folder]) is None


@pytest.mark.parametrize(
    "written",
    [
        "C:\\data\\Images\\Left\\a.png",
        "D:/export/images/LEFT/A.png",
        "\\\\server\\share\\set\\Images\\Left\\a.png",
        "/home/anna/set/Images/Left/a.png",
        "C:\\..\\x\\Images\\Left\\a.png",
    ],
)
def test_the_longest_end_of_an_absolute_path_of_another_machine_is_found(folder, written):
    (folder / "a.png").touch()
    assert locate(written, [folder]) == folder / "Images" / "Left" / "a.png"
    assert locate(written, [folder / "Images"]) == folder / "Images" / "Left" / "a.png"
    assert locate(written.replace("a.png", "c.png").replace("A.png", "c.png"), [folder]) is None


def test_a_path_that_is_there_wins_over_its_ends(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "a.png"
    other.touch()
    (folder / "a.png").touch()
    assert locate(str(other), [folder]) == other


@pytest.mark.parametrize(
    ("written", "inside"),
    [
        ("C:\\data\\a.png", "data/a.png"),
        ("C:a.png", "a.png"),
        ("\\\\server\\share\\data\\a.png", "data/a.png"),
        ("/data/a.png", "data/a.png"),
        ("data\\a.png", "data/a.png"),
        ("a.png", "a.png"),
    ],
)
def test_an_absolute_path_begins_with_its_first_folder(written, inside):
    assert str(without_anchor(written)) == inside


def test_folders_are_tried_in_their_order_but_a_name_as_it_is_goes_first(folder):
    other = folder / "other"
    other.mkdir()
    (other / "A.PNG").touch()
    left = folder / "Images" / "Left"
    assert locate("a.png", [other, left]).parent == left
    assert locate("a.Png", [other, left]).parent == other


@pytest.mark.parametrize(
    ("stem", "ending", "rest"),
    [
        ("img_1_mask", "_mask", "img_1"),
        ("img_1_MASK", "_mask", "img_1"),
        ("mask_1", "mask_*", "1"),
        ("Mask_1_gt", "mask_*_GT", "1"),
        ("_mask", "_mask", "_mask"),
        ("img_1", "_mask", None),
        ("img_1", "mask_*", None),
        ("img_1", "", "img_1"),
    ],
)
def test_what_image_and_label_map_do_not_share_is_cut(stem, ending, rest):
    assert shared_stem(stem, ending) == rest


@pytest.mark.parametrize("ending", ["_mask", "mask_*", "mask_*_gt", ""])
def test_endings_are_put_back(ending):
    assert shared_stem(with_ending("scene 7", ending), ending) == "scene 7"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("img_007", "Mask-7", "7"),
        ("img_7.jpg", "7_label", "7"),
        ("frame_000", "frame-0-gt", "frame 0"),
        ("mask", "MASK", "mask"),
    ],
)
def test_the_core_tells_which_sample_it_is(one, other, expected):
    assert core(one) == core(other) == expected


def test_signs_other_than_dividers_belong_to_the_core():
    assert core("a+b") != core("a b")
    assert core("a-1.5") == "a 1 5"
