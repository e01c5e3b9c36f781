"""Reading a data set through its reader: what is counted, noted, and said more plainly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data_check.contents import Contents, ValueCount
from segloom.data_check.known import Known, find_known, places_in, read_known, simpler
from segloom.labels.space import Exclusive, Overlapping

CELL = "0 0 0 0.5 0 0.5 1 0 1"


def picture(path, shade=0, size=(8, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade,) * 3).save(path)


def yolo(root, split, lines, *, names="cell\ndirt\n"):
    """Write images of shades of their own, one per text; None leaves its text file out."""
    for number, line in enumerate(lines):
        picture(root / split / "images" / f"{split}{number}.png", len(split) + 10 * number)
        text = root / split / "labels" / f"{split}{number}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        if line is not None:
            text.write_text(line)
    (root / "classes.txt").write_text(names)
    return DataConfig(name="yolo", root=root)


def folder(root, *maps, **options):
    """Write label maps of ids into train, with images of one shade."""
    for number, rows in enumerate(maps):
        pixels = np.array(rows, np.uint8)
        picture(root / "train/images" / f"{number}.png", number, pixels.shape[::-1])
        (root / "train/masks").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / "train/masks" / f"{number}.png")
    return DataConfig(root=root, mask_format="index", classes=("a", "b", "c"), **options)


def kinds(known):
    return [(finding.level, finding.kind) for finding in known.findings]


def test_values_are_class_ids_and_void_counted_by_pixels_and_files(tmp_path):
    config = folder(tmp_path, [[0, 0, 2, 255]], [[2, 2, 2, 1]])
    told = []
    known = read_known(config, None, lambda *numbers: told.append(numbers))
    assert known.contents.values == {
        0: ValueCount(2, 1),
        1: ValueCount(1, 1),
        2: ValueCount(4, 2),
        255: ValueCount(1, 1),
    }
    assert (known.classes, known.space) == (("a", "b", "c"), Exclusive(3))
    assert known.splits == {"train": 2}
    assert known.contents.sizes == {(1, 4): 2}
    assert known.contents.num_read == 2
    assert not known.is_outlined
    assert not known.has_overlap
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(("limit", "number"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5), (9, 5)])
def test_a_limit_reads_samples_evenly_spread(tmp_path, limit, number):
    config = folder(tmp_path, *([[index % 3]] for index in range(5)))
    assert read_known(config, limit, None).contents.num_read == number


def test_a_sample_that_cannot_be_read_is_listed_and_the_others_counted(tmp_path):
    config = folder(tmp_path, [[0, 1]], [[7, 1]])
    known = read_known(config, None, None)
    (sentence,) = known.contents.damaged
    assert "1.png" in sentence
    assert known.contents.num_read == 1


def test_equal_pixels_are_found_across_splits(tmp_path):
    config = yolo(tmp_path, "train", [CELL])
    yolo(tmp_path, "valid", [CELL])  # words of the same length: images of the same shade
    known = read_known(config, None, None)
    assert [
        [(split, path.name) for split, path in found] for found in known.contents.hashes.values()
    ] == [[("train", "train0.png"), ("val", "valid0.png")]]


def test_splits_that_are_missing_or_unreadable_are_told(tmp_path):
    config = yolo(tmp_path, "train", [CELL])
    yolo(tmp_path, "val", [None])
    known = read_known(config, None, None)
    assert known.splits == {"train": 1, "val": 1}
    assert ("note", "no-split") in kinds(known)
    (tmp_path / "classes.txt").unlink()
    known = read_known(config, None, None)
    assert [kind for kind in kinds(known) if kind[0] == "problem"] == [
        ("problem", "unreadable")
    ] * 3
    assert [f.message[:6] for f in known.findings if f.level == "problem"] == [
        "train:",
        "val: /",
        "test: ",
    ]


def test_outlines_make_a_set_outlined_and_images_beside_it_are_named(tmp_path):
    config = yolo(tmp_path, "train", [CELL, ""])
    known = read_known(config, None, None)
    assert known.is_outlined
    assert ("note", "left-out") not in kinds(known)
    picture(tmp_path / "more" / "x.png")
    picture(tmp_path / ".hidden" / "y.png")
    (finding,) = (f for f in read_known(config, None, None).findings if f.kind == "left-out")
    assert finding.message.startswith("1 images have no outlines and are left out, such as ")
    assert finding.message.endswith("save them so with yolo.")
    assert [Path(file).name for file in finding.files] == ["x.png"]


def test_notes_of_a_reader_are_told_once(tmp_path):
    config = yolo(tmp_path, "train", [CELL])
    yolo(tmp_path, "val", [CELL])
    config = config.model_copy(update={"classes": ("cell", "dirt")})
    known = read_known(config, None, None)
    assert [f.kind for f in known.findings].count("reader") == 1
    first = known.findings[0]
    assert first.message == "this is a data set that the reader yolo knows; its lines are below."


def test_a_folder_is_known_by_its_files_and_takes_the_users_classes(tmp_path):
    assert find_known(tmp_path) is None
    yolo(tmp_path, "train", [CELL])
    assert find_known(tmp_path) == DataConfig(name="yolo", root=tmp_path)
    named = DataConfig(name="yolo", root=tmp_path, classes=("x", "y"))
    assert find_known(tmp_path, ["x", "y"]) == named


def test_only_places_that_are_not_the_usual_ones_are_given():
    assert places_in(DataConfig(classes=("a", "b"))) == {}
    config = DataConfig(images="photos", mask_ending="_L")
    assert places_in(config) == {"images": "photos", "mask_ending": "_L"}


NAMES = ("background", "cell", "dirt")


def known(values=(0, 1, 2), *, classes=NAMES, space=None, **facts):
    contents = Contents(values={value: ValueCount(1, 1) for value in values}, num_read=1)
    return Known(contents, classes=classes, space=space or Exclusive(len(classes)), **facts)


@pytest.mark.parametrize(
    ("name", "found", "classes"),
    [
        ("mask_files", known([1, 2]), NAMES[1:]),
        ("yolo", known([1, 2], is_outlined=True), NAMES[1:]),
        ("yolo", known([1, 2]), None),
        ("coco", known([1, 2], is_outlined=True), None),  # its reader names the background
        ("mask_files", known([0, 1, 2]), None),
        ("mask_files", known([1], classes=NAMES[:2]), None),
        ("mask_files", known([1, 2], classes=("ground", "cell", "dirt")), None),
    ],
)
def test_where_objects_cover_everything_there_is_no_background(name, found, classes):
    config = simpler(DataConfig(name=name), found)
    assert (config and config.classes) == classes


def test_classes_that_never_overlap_have_one_class_per_pixel():
    config = DataConfig(mask_format="multilabel")
    apart = simpler(config, known(space=Overlapping(3)))
    assert (apart.name, apart.mask_format) == ("mask_files", "auto")
    assert simpler(config, known(space=Overlapping(3), has_overlap=True)) is None


def test_nothing_is_said_of_samples_of_which_none_was_read():
    found = known([])
    assert simpler(DataConfig(name="mask_files"), found) is not None
    found.contents.num_read = 0
    assert simpler(DataConfig(name="mask_files"), found) is None
