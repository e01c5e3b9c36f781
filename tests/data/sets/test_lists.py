"""Lists of samples in the forms that people write."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.readers import read_labelled_source, read_source
from segloom.data.sets.dlse_classes import DLSE_CLASSES
from segloom.data.sets.lists import read, read_list
from segloom.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b c.jpg", "a.png", "b c.png", "e.png"):
        Image.new("L", (2, 2)).save(tmp_path / name)
    return tmp_path


def names(folder, text, root=None, encoding="utf-8"):
    path = folder / "list.csv"
    path.write_text(text, encoding=encoding)
    return [
        tuple(None if file is None else file.name for file in (r.image, r.mask, r.edge))
        for r in read_list(path, root)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg,a.png\n",
        "a.jpg a.png",
        "a.jpg\ta.png\n\n",
        "a.jpg;a.png",
        "# note\n  a.jpg ,  a.png , \r\n",
        "image,label\na.jpg,a.png\n",
        "mask;image\na.png;a.jpg\n",
        "Label Image\na.png a.jpg\n",
        '"a.jpg","a.png"',
    ],
)
def test_two_columns_with_any_divider_and_header(folder, text):
    assert names(folder, text) == [("a.jpg", "a.png", None)]


def test_three_columns_give_edges_and_paths_may_hold_spaces(folder):
    text = "image,edge,label\na.jpg,e.png,a.png\nb c.jpg,e.png,b c.png\n"
    assert names(folder, text) == [
        ("a.jpg", "a.png", "e.png"),
        ("b c.jpg", "b c.png", "e.png"),
    ]
    assert names(folder, "a.jpg,a.png,e.png\nb c.jpg,b c.png") == [
        ("a.jpg", "a.png", "e.png"),
        ("b c.jpg", "b c.png", None),
    ]


def test_a_byte_order_mark_does_not_hide_the_header(folder):
    assert names(folder, "image,label\na.jpg,a.png", encoding="utf-8-sig")


def test_paths_start_from_the_list_or_the_root_or_are_absolute(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("lists")
    assert names(elsewhere, "a.jpg,a.png", folder) == [("a.jpg", "a.png", None)]
    assert names(elsewhere, f"{folder}/a.jpg,{folder}/a.png")
    with pytest.raises(DataError, match=r"line 1: there is no file .*a\.jpg; write paths relative"):
        names(elsewhere, "a.jpg,a.png")


def test_equal_stems_get_names_of_their_own(folder):
    (folder / "x").mkdir()
    Image.new("L", (2, 2)).save(folder / "x" / "a.jpg")
    path = folder / "list.txt"
    path.write_text("a.jpg a.png\nx/a.jpg a.png\n")
    first, second = (record.id for record in read_list(path))
    assert first != second
    assert second.endswith("x__a")
    assert "/" not in second


@pytest.mark.parametrize(
    "text",
    [
        "id,image,mask,fold\n7,a.jpg,a.png,0\n",
        ",image,mask\n0,a.jpg,a.png\n",  # as pandas writes an index
        "Image Path;fold;Mask-Path\na.jpg;2;a.png",
        '"a.jpg" "a.png"',
        '"a.jpg", "a.png"',
        "A.JPG,a.PNG",
        "./a.jpg,./a.png",
    ],
)
def test_further_columns_quotes_and_capitals(folder, text):
    assert names(folder, text) == [("a.jpg", "a.png", None)]


@pytest.mark.parametrize("text", ['"b c.jpg" "b c.png"', "b c.jpg b c.png", "b c.jpg\tb c.png"])
def test_names_with_spaces_divided_by_spaces(folder, text):
    assert names(folder, text) == [("b c.jpg", "b c.png", None)]


def test_backslashes_other_accents_and_utf_16(folder):
    (folder / "sub").mkdir()
    Image.new("L", (2, 2)).save(folder / "sub/e\u0301.png")  # decomposed, as macOS stores it
    expected = [("a.jpg", "e\u0301.png", None)]
    for text in ("a.jpg,sub\\\u00e9.png", ".\\a.jpg SUB\\\u00e9.png"):
        assert names(folder, text) == expected
        assert names(folder, text, encoding="utf-16") == expected


def test_names_that_differ_in_capitals_alone_are_told_apart(folder):
    Image.new("L", (2, 2)).save(folder / "A.jpg")
    assert names(folder, "A.jpg,a.png\na.jpg,a.png") == [
        ("A.jpg", "a.png", None),
        ("a.jpg", "a.png", None),
    ]
    (folder / "B c.JPG").symlink_to(folder / "b c.jpg")
    with pytest.raises(DataError, match=r"line 1: there is no file .*B C\.jpg"):
        names(folder, "B C.jpg,a.png")  # two files are meant as well


def test_faulty_lines_are_named(folder):
    with pytest.raises(DataError, match=r"list\.csv, line 3: expected .* found 1: b\.jpg"):
        names(folder, "a.jpg,a.png\n\nb.jpg\n")
    with pytest.raises(DataError, match="found 4"):
        names(folder, "a,b,c,d")
    with pytest.raises(DataError, match="names no sample"):
        names(folder, "image,label\n")
    with pytest.raises(DataError, match="names no sample"):
        names(folder, "\n# nothing\n")
    with pytest.raises(DataError, match=r"a\.jpg twice"):
        names(folder, "a.jpg,a.png\na.jpg,a.png\n")
    with pytest.raises(DataError, match="line 2: no column for the image or for the label map"):
        names(folder, "image,edge\na.jpg,e.png\n")


def test_files_that_are_no_lists_are_refused(folder):
    with pytest.raises(DataError, match=r"gone\.txt cannot be read"):
        read_list(folder / "gone.txt")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no UTF-8 text"):
        read_list(folder / "bytes.txt")


def test_a_split_without_list_is_refused_with_the_option(folder):
    config = DataConfig(name="list", lists={"train": folder / "train.txt"})
    with pytest.raises(DataError, match=r"'val' \(there are lists for train\).*data\.lists: {val:"):
        read(config, "val")


def test_a_list_takes_the_classes_of_dlse_from_colours_or_label_ids(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.jpg")
    pixels = np.array([[(128, 64, 128), (111, 74, 0), (1, 1, 1), (9, 9, 9)]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "color.png")
    Image.fromarray(np.array([[7, 5, 0, 200]], np.uint8)).save(tmp_path / "ids.png")
    for name, mask_format in (("color", "auto"), ("ids", "index")):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"a.jpg,{name}.png\n")
        config = DataConfig(
            name="list", lists={"train": path}, scheme="dlse", mask_format=mask_format
        )
        source, labels, decoder = read_labelled_source(config, "train")
        assert labels == DLSE_CLASSES
        assert decoder.decode(source.records[0].mask).tolist() == [[0, 11, 3, 3]]
    with pytest.raises(ConfigError, match=r"data\.scheme is for the reader cityscapes or list"):
        read_source(DataConfig(name="folder", root=tmp_path, scheme="dlse"), "train")
