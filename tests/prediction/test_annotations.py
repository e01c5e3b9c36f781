"""Polygons in every tool's format: what is written is read back to the same pixels."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from segloom.data.sets.outlines import fill_polygon
from segloom.prediction.annotations import annotator, feature_collection, outline

CLASSES = ("background", "road", "car")


def masks():
    road = np.zeros((12, 16), bool)
    road[1:9, 1:11] = True
    road[3:6, 4:7] = False  # a hole
    car = np.zeros_like(road)
    car[3:5, 4:6] = True
    car[10, 12:15] = True
    return {"background": ~(road | car), "road": road, "car": car}


@pytest.fixture
def outlined(tmp_path):
    return outline(tmp_path / "films" / "a.jpg", "a", masks())


def drawn(rings):
    """Fill rings of ``(label, points)`` class by class."""
    found = {name: np.zeros((12, 16), bool) for name in CLASSES[1:]}
    for label, ring in rings:
        found[label] |= fill_polygon(np.asarray(ring, float), 12, 16)
    return found


def check(rings):
    found = drawn(rings)
    for name in CLASSES[1:]:
        assert (found[name] == masks()[name]).all(), name
    assert sorted(label for label, _ in rings) == ["car", "car", "road"]


def test_the_background_is_not_outlined_and_sizes_are_kept(outlined):
    assert {label for label, _ in outlined.objects} == {"road", "car"}
    assert (outlined.height, outlined.width) == (12, 16)
    small = outline(outlined.image, "a", masks(), min_area=4)
    assert [label for label, _ in small.objects] == ["road", "car"]


def write(kind, outlined, out):
    writer = annotator(kind, out, CLASSES)
    writer.add(outlined)
    writer.finish()
    return writer


def test_coco(outlined, tmp_path):
    writer = write("coco", outlined, tmp_path)
    content = json.loads((tmp_path / "annotations.json").read_text())
    assert writer.shared_file == tmp_path / "annotations.json"
    assert writer.file_of("a") is None
    assert content["images"] == [{"id": 1, "file_name": "a.jpg", "height": 12, "width": 16}]
    assert content["categories"] == [{"id": 1, "name": "road"}, {"id": 2, "name": "car"}]
    rings, names = [], {1: "road", 2: "car"}
    for number, one in enumerate(content["annotations"], start=1):
        assert (one["id"], one["image_id"], one["iscrowd"]) == (number, 1, 0)
        (flat,) = one["segmentation"]
        ring = np.reshape(flat, (-1, 2))
        rings.append((names[one["category_id"]], ring))
        left, top, width, height = one["bbox"]
        assert (left, top) == tuple(ring.min(0))
        assert (left + width, top + height) == tuple(ring.max(0))
        assert one["area"] == fill_polygon(ring, 12, 16).sum()
    check(rings)


def test_coco_tells_images_of_one_name_apart_by_their_folders(tmp_path):
    writer = annotator("coco", tmp_path, CLASSES)
    for place in ("x/a.jpg", "y/a.jpg", "z/y/a.jpg"):
        writer.add(outline(tmp_path / place, "a", masks()))
    assert [image["file_name"] for image in writer.images] == ["a.jpg", "y/a.jpg", "z/y/a.jpg"]
    assert [one["image_id"] for one in writer.objects] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_labelme(outlined, tmp_path):
    writer = write("labelme", outlined, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "a.json").read_text())
    assert writer.file_of("a") == tmp_path / "out" / "a.json"
    assert writer.shared_file is None
    assert content["imagePath"].replace("\\", "/") == "../films/a.jpg"
    assert (content["imageHeight"], content["imageWidth"]) == (12, 16)
    check([(shape["label"], shape["points"]) for shape in content["shapes"]])


def test_yolo(outlined, tmp_path):
    write("yolo", outlined, tmp_path)
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["names"] == {0: "road", 1: "car"}
    rings = []
    for line in (tmp_path / "labels" / "a.txt").read_text().splitlines():
        number, *values = line.split()
        shares = np.array(values, float).reshape(-1, 2)
        assert shares.min() >= 0
        assert shares.max() <= 1
        rings.append((CLASSES[1 + int(number)], shares * (16, 12)))
    check(rings)


def test_cvat(outlined, tmp_path):
    writer = annotator("cvat", tmp_path, CLASSES)
    writer.add(outlined)
    writer.add(outlined)
    writer.finish()
    root = ElementTree.parse(tmp_path / "annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert [name.text for name in root.iterfind("meta/task/labels/label/name")] == ["road", "car"]
    first, second = root.findall("image")
    assert first.attrib == {"id": "0", "name": "a.jpg", "width": "16", "height": "12"}
    assert second.get("id") == "1"
    rings = []
    for polygon in first.findall("polygon"):
        points = [
            [float(x) for x in point.split(",")] for point in polygon.get("points").split(";")
        ]
        rings.append((polygon.get("label"), points))
    check(rings)


def test_geojson_keeps_holes_as_rings(outlined, tmp_path):
    write("geojson", outlined, tmp_path)
    content = json.loads((tmp_path / "a.geojson").read_text())
    assert content == feature_collection(outlined.objects)
    assert content["type"] == "FeatureCollection"
    found = {name: np.zeros((12, 16), bool) for name in CLASSES[1:]}
    rings = []
    for feature in content["features"]:
        outer, *holes = feature["geometry"]["coordinates"]
        assert outer[0] == outer[-1]
        name = next(value for value in feature["properties"].values() if value in found)
        area = fill_polygon(np.array(outer[:-1], float), 12, 16)
        for hole in holes:
            area &= ~fill_polygon(np.array(hole[:-1], float), 12, 16)
        found[name] |= area
        rings.append(len(holes))
    assert sorted(rings) == [0, 0, 1]
    for name in CLASSES[1:]:
        assert (found[name] == masks()[name]).all()
