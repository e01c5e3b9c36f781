"""The VGG Image Annotator's JSON: what is drawn, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.errors import DataError


def rect(x: float, y: float, width: float, height: float, **attributes: Any) -> dict[str, Any]:
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return {"shape_attributes": shape, "region_attributes": attributes}


def write(root: Path, regions: Any, name: str = "via.json", **project: Any) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(root / "a.png")
    entries = {"a.png99": {"filename": "a.png", "size": 99, "regions": regions}}
    content = {"_via_img_metadata": entries, **project} if project else entries
    (root / name).write_text(json.dumps(content))
    return root


def decode(root: Path) -> Any:
    config = DataConfig(name="via", root=root, split_shares=(1.0, 0.0, 0.0))
    source, _, decoder = read_labelled_source(config, "train")
    return source.decode(source.records[0], decoder).mask


@pytest.mark.parametrize("project", [{}, {"_via_settings": {}}])
def test_later_regions_lie_on_top_in_both_forms(project: dict[str, Any], tmp_path: Path) -> None:
    regions = [rect(0, 0, 3, 3, kind="cell"), rect(2, 1, 2, 2, kind={"dirt": True, "cell": False})]
    expected = np.zeros((6, 8), np.uint8)
    expected[:3, :3], expected[1:3, 2:4] = 1, 2
    for form in (regions, {str(k): region for k, region in enumerate(regions)}):
        np.testing.assert_array_equal(decode(write(tmp_path, form, **project)), expected)


def test_a_circle_and_a_turned_ellipse_are_drawn(tmp_path: Path) -> None:
    facts = {"cx": 4, "cy": 3}
    circle = {"name": "circle", **facts, "r": 2}
    ellipse = {"name": "ellipse", **facts, "rx": 3.5, "ry": 1, "theta": np.pi / 2}
    found = [
        decode(write(tmp_path, [{"shape_attributes": s, "region_attributes": {"x": "cell"}}])) > 0
        for s in (circle, ellipse)
    ]
    assert found[0].sum() == 12  # the pixels whose centres lie within two pixels of the middle
    assert found[1][:, [3, 4]].all()
    assert not found[1][:, [1, 6]].any()


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([rect(0, 0, 1, 1)], "has no attribute called label"),
        ([rect(0, 0, 1, 1, a="x", b="y")], "has no attribute called label"),
        ([rect(0, 0, 1, 1, kind="")], "or an empty one"),
        ([rect(0, 0, 1, 1, kind={"a": True, "b": True})], "has 2 values of kind"),
        ([{"shape_attributes": {"name": "point"}, "region_attributes": {"x": "a"}}], "no area"),
        ([{"shape_attributes": {"name": "rect"}, "region_attributes": {"x": "a"}}], "is damaged"),
    ],
)
def test_a_bad_region_is_refused_by_name(
    regions: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        decode(write(tmp_path, regions))
    assert "via.json" in str(caught.value)


def test_a_file_beside_the_images_of_each_split_divides_them(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path / split, [rect(0, 0, 1, 1, label="cell")], "via_region_data.json")
    source, labels, _ = read_labelled_source(DataConfig(name="via", root=tmp_path), "val")
    assert [record.image.parent.name for record in source.records] == ["val"]
    assert labels.classes == ("background", "cell")


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    (write(tmp_path, []) / "a.png").unlink()
    with pytest.raises(DataError, match=r"is of the image a\.png, which lies neither"):
        decode(tmp_path)
