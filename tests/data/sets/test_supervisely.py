"""Supervisely's JSON: what is drawn, and what is refused by name."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.errors import DataError


def write(root: Path, *objects: dict[str, Any], width: int = 8) -> Path:
    for folder in ("img", "ann"):
        (root / "ds" / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(root / "ds" / "img" / "a.JPG")
    (root / "meta.json").write_text('{"classes": [{"title": "dirt"}, {"title": "cell"}]}')
    content = {"size": {"height": 6, "width": width}, "objects": objects}
    (root / "ds" / "ann" / "a.JPG.json").write_text(json.dumps(content))
    return root


def shape(kind: str, *corners: tuple[int, int], **facts: Any) -> dict[str, Any]:
    points = {"exterior": corners, "interior": facts.pop("interior", [])}
    return {"classTitle": "cell", "geometryType": kind, "points": points, **facts}


def decode(root: Path) -> Any:
    config = DataConfig(name="supervisely", root=root, split_shares=(1.0, 0.0, 0.0))
    source, _, decoder = read_labelled_source(config, "train")
    return source.decode(source.records[0], decoder).mask


def test_a_polygon_covers_its_edges_and_leaves_its_holes(tmp_path: Path) -> None:
    hole = [(2, 2), (3, 2), (3, 3), (2, 3)]
    square = shape("polygon", (0, 0), (5, 0), (5, 5), (0, 5), interior=[hole])
    expected = np.zeros((6, 8), np.uint8)
    expected[:6, :6], expected[2:4, 2:4] = 2, 0
    np.testing.assert_array_equal(decode(write(tmp_path, square)), expected)


def test_later_shapes_lie_on_top_and_a_rectangle_holds_its_corners(tmp_path: Path) -> None:
    dirt = shape("rectangle", (2, 1), (3, 2)) | {"classTitle": "dirt"}
    expected = np.zeros((6, 8), np.uint8)
    expected[:3, :3], expected[1:3, 2:4] = 2, 1
    found = decode(write(tmp_path, shape("rectangle", (0, 0), (2, 2)), dirt))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("thing", "width", "message"),
    [
        (shape("line", (0, 0), (1, 1)), 8, "has no area"),
        (shape("polygon", (9, 1), (12, 1), (12, 3)), 8, "'cell' lies wholly outside the 8 x 6"),
        (shape("rectangle", (1, -4), (3, -2)), 8, "'cell' lies wholly outside the 8 x 6"),
        (shape("rectangle", (0, 0), (1, 1)), 9, "use the image that was labelled"),
        (shape("polygon"), 8, "is damaged"),
        (shape("polygon", (0, 0), (10**9, 1)), 8, "is damaged"),
        (shape("bitmap", bitmap={"data": "!!", "origin": [0, 0]}), 8, "no deflated PNG"),
        (
            shape(
                "bitmap",
                bitmap={
                    "data": base64.b64encode(zlib.compress(b"x" * 10**6)).decode(),
                    "origin": [0, 0],
                },
            ),
            8,
            "no deflated PNG",
        ),
        (shape("rectangle", (0, 0), (1, 1)) | {"classTitle": "rust"}, 8, "none of the classes"),
    ],
)
def test_a_bad_shape_is_refused_by_name(
    thing: dict[str, Any], width: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        decode(write(tmp_path, thing, width=width))
    assert "a.JPG.json" in str(caught.value)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    root = write(tmp_path)
    (root / "ds" / "img" / "a.JPG").unlink()
    with pytest.raises(DataError, match="which is not there; export with images"):
        decode(root)


def test_two_files_of_one_image_are_refused_by_name(tmp_path: Path) -> None:
    root = write(tmp_path, shape("rectangle", (0, 0), (2, 2)))
    (root / "ds" / "ann" / "a.json").write_bytes((root / "ds" / "ann" / "a.JPG.json").read_bytes())
    with pytest.raises(DataError, match=r"a\.JPG\.json and .*a\.json are both of the image"):
        decode(root)
