"""The table of objects: areas, objects that touch along an edge, confidence, and files of ours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.prediction.objects import COLUMNS, class_masks, may_be_replaced, object_rows

CELLS = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]], bool)


def test_objects_touch_along_an_edge_not_at_a_corner(tmp_path):
    masks = {"back": ~CELLS, "cell": CELLS, "none": np.zeros_like(CELLS)}
    back, cell = object_rows(tmp_path / "a.png", masks)
    assert tuple(cell) == COLUMNS
    assert cell == {
        "image": str(tmp_path / "a.png"),
        "class": "cell",
        "pixels": 4,
        "share": 0.333333,
        "objects": 3,
        "mean_size": 1.3,
        "mean_confidence": None,
    }
    assert (back["class"], back["pixels"], back["objects"]) == ("back", 8, 1)


def test_confidence_is_the_mean_over_the_pixels_of_the_class(tmp_path):
    values = np.zeros((2, 3, 4), np.float16)
    values[1] = np.where(CELLS, 0.75, 0.25)
    values[1, 0, 0] = 0.25
    np.savez(tmp_path / "p.npz", probabilities=values)
    rows = object_rows(tmp_path / "a.png", {"back": ~CELLS, "cell": CELLS}, tmp_path / "p.npz")
    assert [row["mean_confidence"] for row in rows] == [0.0, 0.625]


def test_masks_are_read_from_a_label_map_or_from_a_file_per_class(tmp_path):
    Image.fromarray(CELLS.astype(np.uint8)).save(tmp_path / "label.png")
    found = class_masks({"label": tmp_path / "label.png"}, ("back", "cell"))
    assert (found["cell"] == CELLS).all()
    assert (found["back"] == ~CELLS).all()
    Image.fromarray(CELLS * np.uint8(255)).save(tmp_path / "cell.png")
    Image.fromarray((CELLS & False) * np.uint8(255)).save(tmp_path / "other.png")
    written = {"mask.cell": tmp_path / "cell.png", "mask.other": tmp_path / "other.png"}
    found = class_masks(written, ("cell", "other"))
    assert (found["cell"] == CELLS).all()
    assert not found["other"].any()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (",".join(COLUMNS) + "\n1,2\n", True),
        (",".join(COLUMNS), True),
        ("image,class\n", False),
        ("", False),
    ],
)
def test_only_a_table_of_this_form_is_replaced(content, expected, tmp_path):
    (tmp_path / "objects.csv").write_text(content)
    assert may_be_replaced(tmp_path / "objects.csv") is expected


def test_what_is_no_file_is_not_replaced_and_nothing_may_be(tmp_path):
    assert may_be_replaced(tmp_path / "none.csv")
    assert not may_be_replaced(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert not may_be_replaced(tmp_path / "link")
