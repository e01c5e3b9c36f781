"""The images that an export is judged by are real ones, at sizes that the exporter never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.exports import LABELS, Photographs
from support.squares import write_squares

from segloom.config import DataConfig
from segloom.errors import ConfigError
from segloom.exports.onnx_file import TRACED_SIZE
from segloom.exports.pictures import choose_images, patches, spread_evenly


def test_patches_are_cut_from_the_images_and_none_has_the_traced_size() -> None:
    images = Photographs(3)
    found = dict(patches(images))
    shapes = [pixels.shape for pixels in found.values()]
    assert shapes[:4] == [(1, 1, 1, 3), (1, 33, 65, 3), (1, 131, 197, 3), (2, 96, 64, 3)]
    assert TRACED_SIZE not in [shape[:3] for shape in shapes]
    first, last = images[0].pixels, images[2].pixels
    np.testing.assert_array_equal(found["1 x 33 x 65"][0], first[18:51, 12:77])
    np.testing.assert_array_equal(found["1 x 70 x 90"][0], last)
    larger = found["1 x 131 x 197"][0]
    np.testing.assert_array_equal(larger[30:100, 53:143], first)  # its edges are mirrored
    assert {tuple(pixel) for row in larger for pixel in row} <= {
        tuple(pixel) for row in first for pixel in row
    }


def test_indices_are_spread_over_all() -> None:
    assert list(spread_evenly(5, 0)) == [0, 1, 2, 3, 4]
    assert list(spread_evenly(5, 9)) == [0, 1, 2, 3, 4]
    assert list(spread_evenly(101, 5)) == [0, 25, 50, 75, 100]
    assert list(spread_evenly(9, 1)) == [0]


def test_a_split_gives_images_and_truth(tmp_path: Path) -> None:
    write_squares(tmp_path, {"train": 1, "val": 2})
    data = DataConfig(name="folder", root=tmp_path, classes=list(LABELS.classes))
    images = choose_images(data, "val", None, LABELS, pixels=None, takes_edges=False)
    assert (len(images), images.source) == (2, "split val")
    with Image.open(tmp_path / "val" / "images" / "1.png") as image:
        np.testing.assert_array_equal(images[1].pixels, np.asarray(image))
    truth = images[1].truth
    assert truth is not None
    assert set(np.unique(truth)) == {0, 1, 255}


def test_a_folder_gives_images_alone(tmp_path: Path) -> None:
    Image.new("RGB", (9, 5), (1, 2, 3)).save(tmp_path / "a.png")
    images = choose_images(None, "val", tmp_path, LABELS, pixels=None, takes_edges=False)
    assert images[0].pixels.shape == (5, 9, 3)
    assert images[0].truth is None
    with pytest.raises(ConfigError, match="--images does not bring"):
        choose_images(None, "val", tmp_path, LABELS, pixels=None, takes_edges=True)


def test_without_images_the_fix_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--images DIR, or the data with --data\.name"):
        choose_images(None, "val", None, LABELS, pixels=None, takes_edges=False)
    write_squares(tmp_path, {"train": 1, "val": 1})
    data = DataConfig(name="folder", root=tmp_path, classes=["a", "b"])
    with pytest.raises(ConfigError, match="the data has the classes a, b, but the network ground"):
        choose_images(data, "val", None, LABELS, pixels=None, takes_edges=False)
