"""Label Studio's JSON: what is drawn, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data.sets.label_studio import is_here, read_brush
from segloom.errors import DataError
from tests.data.sets.exports import brush

SQUARE = {"points": [[0, 0], [50, 0], [50, 50], [0, 50]], "polygonlabels": ["cell"]}


def region(value: dict[str, Any], **facts: Any) -> dict[str, Any]:
    kind = next((key for key in value if key.endswith("labels")), "polygon")
    return {"original_width": 8, "original_height": 6, "type": kind, "value": value, **facts}


def write(root: Path, *regions: dict[str, Any], image: str = "/data/upload/1/a.png") -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(root / "images" / "a.png")
    task = {"id": 1, "data": {"image": image}, "annotations": [{"result": list(regions)}]}
    (root / "export.json").write_text(json.dumps([task]))
    return root


def decode(root: Path) -> Any:
    config = DataConfig(name="label_studio", root=root, split_shares=(1.0, 0.0, 0.0))
    source, _, decoder = read_labelled_source(config, "train")
    return source.decode(source.records[0], decoder).mask


def test_later_regions_lie_on_top_in_percent_of_the_image(tmp_path: Path) -> None:
    dirt = {"x": 25, "y": 0, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["dirt"]}
    expected = np.zeros((6, 8), np.uint8)
    expected[:3, :4], expected[:3, 2:6] = 1, 2
    np.testing.assert_array_equal(decode(write(tmp_path, region(SQUARE), region(dirt))), expected)


def test_a_rectangle_turns_about_its_corner(tmp_path: Path) -> None:
    value = {"x": 50, "y": 0, "width": 25, "height": 50, "rotation": 90}
    found = decode(write(tmp_path, region({**value, "rectanglelabels": ["cell"]})))
    expected = np.zeros((6, 8), np.uint8)
    expected[:2, 1:4] = 1  # two pixels wide and three high, a quarter turn about (4, 0)
    np.testing.assert_array_equal(found, expected)


def test_an_ellipse_lies_around_its_centre(tmp_path: Path) -> None:
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 50, "ellipselabels": ["cell"]}
    found = decode(write(tmp_path, region(value)))
    rows, columns = np.mgrid[:6, :8] + 0.5
    inside = ((columns - 4) / 2) ** 2 + ((rows - 3) / 3) ** 2
    assert found[inside < 0.9].min() == 1
    assert found[inside > 1].max() == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_brush_is_unpacked_as_it_was_packed(seed: int) -> None:
    mask = np.random.default_rng(seed).random((19, 23)) > (0.5, 0.05, 0.999)[seed]
    np.testing.assert_array_equal(read_brush(brush(mask), 19, 23), mask)


def test_labels_that_stand_apart_from_their_region_are_found(tmp_path: Path) -> None:
    apart = {"id": "r1", "type": "labels", "value": {"labels": ["cell"]}}
    shape = {"points": SQUARE["points"]}
    root = write(tmp_path, region(shape, id="r1", type="polygon"), apart)
    assert decode(root)[0, 0] == 1


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/1/0a1b2c3d-a.png",
        "s3://bucket/x/a.png",
        "/data/local-files/?d=x%2Fa.png",
        "https://example.org/a.png?token=1",
        "C:\\photos\\a.png",
    ],
)
def test_the_image_is_found_by_its_name(image: str, tmp_path: Path) -> None:
    assert decode(write(tmp_path, region(SQUARE), image=image))[0, 0] == 1


def test_of_several_annotations_the_ground_truth_counts(tmp_path: Path) -> None:
    root = write(tmp_path, region(SQUARE))
    (task,) = json.loads((root / "export.json").read_text())
    empty = {"result": [region({**SQUARE, "polygonlabels": ["dirt"]})]}
    task["annotations"].append(empty)
    (root / "export.json").write_text(json.dumps([task]))
    with pytest.raises(DataError, match=r"has 2 annotations of .*mark one as ground truth"):
        decode(root)
    task["annotations"][0]["ground_truth"] = True
    (root / "export.json").write_text(json.dumps([task]))
    assert decode(root)[0, 0] == 1
    task["annotations"][0]["was_cancelled"] = True
    (root / "export.json").write_text(json.dumps([task]))
    assert decode(root)[0, 0] == 1  # the other one, whose label is now the first


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([region(SQUARE), region({"x": 1, "keypointlabels": ["cell"]})], "without an area"),
        ([region({**SQUARE, "polygonlabels": ["cell", "dirt"]})], "with 2 labels"),
        ([region(SQUARE, original_width=9)], "use the image that was labelled"),
        ([region(SQUARE, image_rotation=90)], "turned by 90 degrees"),
        ([region({"brushlabels": ["cell"], "rle": [1, 2, 3]})], "is damaged"),
        ([region({"brushlabels": ["cell"], "rle": brush(np.ones((9, 9), bool))})], "324 bytes"),
        ([region({"polygonlabels": ["cell"]})], "is damaged"),
    ],
)
def test_a_bad_region_is_refused_by_name(
    regions: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        decode(write(tmp_path, *regions))
    assert "export.json" in str(caught.value)


def test_a_missing_or_doubled_image_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, region(SQUARE))
    (root / "more").mkdir()
    Image.new("RGB", (8, 6)).save(root / "more" / "a.png")
    with pytest.raises(DataError, match="keep one of them"):
        decode(root)
    for folder in ("images", "more"):
        (root / folder / "a.png").unlink()
    with pytest.raises(DataError, match=r"which is not below"):
        decode(root)


@pytest.mark.parametrize("text", ["[1]", "[{}]", "{}", "[", '[{"data": {"text": "x"}}]'])
def test_other_json_is_not_taken_for_an_export(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    assert not is_here(tmp_path)
