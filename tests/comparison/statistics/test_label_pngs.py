"""Label maps of other programs: how they may be named, and what cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.comparison.statistics.label_pngs import read_prediction
from segloom.errors import DataError
from segloom.labels.palette import default_palette
from segloom.types import LabelSet

LABELS = LabelSet(("ground", "car", "tree"), default_palette(3))
MAP = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)


def write(path, pixels=MAP):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("file", ["ulm/a.png", "ulm_a.png", "a.png"])
def test_an_image_in_a_folder_is_found_under_three_names(tmp_path, file):
    write(tmp_path / file)
    assert np.array_equal(read_prediction(tmp_path, "ulm/a", LABELS, (2, 3)), MAP)


def test_the_fuller_name_wins(tmp_path):
    write(tmp_path / "a.png", np.zeros_like(MAP))
    write(tmp_path / "ulm_a.png")
    assert np.array_equal(read_prediction(tmp_path, "ulm/a", LABELS, (2, 3)), MAP)


def test_palette_files_give_their_ids(tmp_path):
    image = Image.fromarray(MAP)
    image.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7])
    image.save(tmp_path / "a.png")
    assert np.array_equal(read_prediction(tmp_path, "a", LABELS, (2, 3)), MAP)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((3, 2), np.uint8), "at the size of the image"),
        (
            np.zeros((2, 3, 3), np.uint8) + np.uint8([1, 2, 3]),
            "holds colours; write class ids, 0 to 2",
        ),
        (np.full((2, 3), 257, np.uint16), "holds 257 to 257; write class ids of 8 bits"),
    ],
)
def test_what_is_no_label_map_of_the_image_is_refused(tmp_path, pixels, message):
    write(tmp_path / "a.png", pixels)
    with pytest.raises(DataError, match=message):
        read_prediction(tmp_path, "a", LABELS, (2, 3))


def test_a_missing_map_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.png is missing; give one PNG"):
        read_prediction(tmp_path, "ulm/a", LABELS, (2, 3))


def test_overlapping_classes_have_a_folder_each(tmp_path):
    labels = LabelSet(("cell", "core"), default_palette(2), is_multilabel=True)
    write(tmp_path / "cell" / "a.png", np.array([[0, 255, 255]], np.uint8))
    write(tmp_path / "core" / "a.png", np.array([[0, 0, 255]], np.uint8))
    assert read_prediction(tmp_path, "a", labels, (1, 3)).tolist() == [[0, 1, 3]]
