"""Label maps through the formats of labelling tools and back, pixel by pixel; and bad files."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data_check import check
from segloom.errors import DataError
from segloom.prediction.annotations import AnnotationFormat, annotator, outline

CLASSES = ("background", "cell", "dirt")
SIZE = (37, 53)


def label_maps(number: int = 8) -> dict[str, NDArray[np.uint8]]:
    """Draw blobs with holes, some at the border, some touching at corners."""
    rng = np.random.default_rng(0)
    maps = {}
    for index in range(number):
        coarse = rng.random((10, 14))
        values = np.where(coarse > 0.75, 2, np.where(coarse > 0.4, 1, 0)).astype(np.uint8)
        maps[f"im_{index}"] = np.kron(values, np.ones((4, 4), np.uint8))[: SIZE[0], : SIZE[1]]
        maps[f"im_{index}"][rng.integers(0, 37, 20), rng.integers(0, 53, 20)] = 1
    return maps


def export(kind: AnnotationFormat, folder: Path, maps: dict[str, NDArray[np.uint8]]) -> Path:
    """Write images, and label maps as annotations, as the tool's own export lays them out."""
    images = folder / "images" if kind == "yolo" else folder
    if kind == "coco":
        images = folder / "train"
    images.mkdir(parents=True)
    out = images if kind in ("coco", "labelme") else folder
    writer = annotator(kind, out, CLASSES)
    for number, (name, labels) in enumerate(maps.items()):
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path := images / f"{name}.png")
        masks = {label: labels == class_id for class_id, label in enumerate(CLASSES)}
        writer.add(outline(path, name, masks))
    writer.finish()
    return folder


@pytest.mark.parametrize("kind", ["labelme", "yolo", "cvat"])
def test_label_maps_survive_a_tool_pixel_by_pixel(kind: AnnotationFormat, tmp_path: Path) -> None:
    maps = label_maps()
    export(kind, tmp_path / "set", maps)
    report = check(tmp_path / "set")
    assert report.is_fine
    assert report.options["name"] == kind
    decoded = masks_by_image(kind, tmp_path / "set")
    assert decoded.keys() == maps.keys()
    for name, labels in maps.items():
        np.testing.assert_array_equal(decoded[name], labels)


def test_label_maps_survive_coco_pixel_by_pixel(tmp_path: Path) -> None:
    maps = label_maps(3)
    export("coco", tmp_path / "set", maps)
    decoded = masks_by_image("coco", tmp_path / "set", "train")
    for name, labels in maps.items():
        np.testing.assert_array_equal(decoded[name], labels)


def masks_by_image(kind: str, root: Path, *splits: str) -> dict[str, NDArray[np.uint8]]:
    """Decode every label map through the decoder that training uses."""
    found: dict[str, NDArray[np.uint8]] = {}
    for split in splits or ("train", "val", "test"):
        source, labels, decoder = read_labelled_source(DataConfig(name=kind, root=root), split)
        assert labels.classes == CLASSES
        found |= {r.image.stem: source.decode(r, decoder).mask for r in source.records}
    return found


def labelme(root: Path, shapes: list[dict[str, Any]], **facts: Any) -> Path:
    root.mkdir(exist_ok=True)
    Image.new("RGB", (8, 6)).save(root / "a.png")
    content = {"shapes": shapes, "imagePath": "a.png", "imageHeight": 6, "imageWidth": 8, **facts}
    (root / "a.json").write_text(json.dumps(content))
    return root


def decode_one(root: Path, kind: str = "labelme") -> NDArray[np.uint8]:
    config = DataConfig(name=kind, root=root, split_shares=(1.0, 0.0, 0.0))
    source, _, decoder = read_labelled_source(config, "train")
    mask: NDArray[np.uint8] = source.decode(source.records[0], decoder).mask
    return mask


def shape(label: str, kind: str, points: list[list[float]], **facts: Any) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": points, **facts}


def test_labelme_draws_later_shapes_on_top_and_void_where_told(tmp_path: Path) -> None:
    shapes = [
        shape("cell", "rectangle", [[0, 0], [4, 4]]),
        shape("dirt", "polygon", [[2, 2], [6, 2], [6, 5], [2, 5]]),
        shape("__ignore__", "rectangle", [[0, 0], [1, 1]]),
        shape("_background_", "rectangle", [[5, 2], [6, 3]]),
    ]
    expected = np.zeros((6, 8), np.uint8)
    expected[:4, :4], expected[2:5, 2:6] = 1, 2
    expected[0, 0], expected[2, 5] = 255, 0
    np.testing.assert_array_equal(decode_one(labelme(tmp_path / "d", shapes)), expected)


def test_labelme_places_a_mask_at_its_corner(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.array([[True, False], [True, True]])).save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    root = labelme(tmp_path / "d", [shape("cell", "mask", [[3, 1], [4, 2]], mask=text)])
    expected = np.zeros((6, 8), np.uint8)
    expected[1:3, 3:5] = [[1, 0], [1, 1]]
    np.testing.assert_array_equal(decode_one(root), expected)


def test_labelme_takes_the_order_of_labels_txt_and_windows_separators(tmp_path: Path) -> None:
    shapes = [shape("cell", "rectangle", [[0, 0], [1, 1]])]
    root = labelme(tmp_path / "d", shapes, imagePath="..\\photos\\a.png")
    (root / "labels.txt").write_text(
        "\ufeff__ignore__\r\n_background_\r\ndirt\r\ncell\r\n", "utf-8"
    )
    assert decode_one(root)[0, 0] == 2


@pytest.mark.parametrize(
    ("shapes", "facts", "message"),
    [
        ([shape("cell", "line", [[0, 0], [1, 1]])], {}, "has no area; delete it or draw"),
        ([shape("cell", "rectangle", [[0, 0], [1, 1]])], {"imageWidth": 9}, "use the image that"),
        ([{"label": "cell"}], {}, "is damaged"),
        ([shape("cell", "polygon", [[0, 0], [1, 1]])], {}, "it needs three points"),
        ([shape("cell", "mask", [[0, 0]], mask="!!")], {}, "a mask is no PNG"),
    ],
)
def test_a_bad_labelme_file_is_refused_by_name(
    shapes: list[dict[str, Any]], facts: dict[str, Any], message: str, tmp_path: Path
) -> None:
    root = labelme(tmp_path / "d", shapes, **facts)
    with pytest.raises(DataError, match=message) as caught:
        decode_one(root)
    assert "a.json" in str(caught.value)


def test_labelme_without_its_image_says_which(tmp_path: Path) -> None:
    root = labelme(tmp_path / "d", [shape("cell", "rectangle", [[0, 0], [1, 1]])])
    (root / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.json is of the image a\.png, which lies neither"):
        decode_one(root)


def yolo(root: Path, line: str) -> Path:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(root / "images" / "a.JPG")
    (root / "labels" / "a.txt").write_text(line)
    (root / "data.yaml").write_text("names: [cell, dirt]\n")
    return root


def test_yolo_draws_the_smaller_object_on_top(tmp_path: Path) -> None:
    small, large = "1 0 0 0.25 0 0.25 0.5 0 0.5", "0 0 0 1 0 1 1 0 1"
    expected = np.ones((6, 8), np.uint8)
    expected[:3, :2] = 2
    found = decode_one(yolo(tmp_path / "d", f"{small}\n{large}\n"), "yolo")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", "five words are a box"),
        ("7 0 0 1 0 1 1", "has the class 7, but there are 2 names"),
        ("x 0 0 1 0 1 1", "line 1"),
    ],
)
def test_a_bad_yolo_line_is_refused_by_name(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        decode_one(yolo(tmp_path / "d", line), "yolo")
    assert "a.txt" in str(caught.value)


def test_yolo_without_names_asks_for_them(tmp_path: Path) -> None:
    root = yolo(tmp_path / "d", "0 0 0 1 0 1 1")
    (root / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"set data\.classes, background first"):
        decode_one(root, "yolo")


CVAT = """<?xml version="1.0"?><annotations><version>1.1</version><meta><task><labels>
<label><name>cell</name></label><label><name>dirt</name></label></labels></task></meta>
<image id="0" name="{name}" width="8" height="6">{shapes}</image></annotations>"""


def cvat(root: Path, shapes: str, name: str = "a.png") -> Path:
    root.mkdir()
    Image.new("RGB", (8, 6)).save(root / "a.png")
    (root / "annotations.xml").write_text(CVAT.format(shapes=shapes, name=name))
    return root


def test_cvat_draws_by_z_order_and_reads_masks(tmp_path: Path) -> None:
    shapes = (
        '<box label="dirt" xtl="0" ytl="0" xbr="2" ybr="2" z_order="1"/>'
        '<polygon label="cell" points="0,0;8,0;8,3;0,3" z_order="0"/>'
        '<mask label="dirt" rle="1, 2, 1" left="6" top="4" width="2" height="2" z_order="0"/>'
        '<tag label="cell"/>'
    )
    expected = np.zeros((6, 8), np.uint8)
    expected[:3], expected[:2, :2] = 1, 2
    expected[4:6, 6:8] = [[0, 2], [2, 0]]
    found = decode_one(cvat(tmp_path / "d", shapes), "cvat")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("shapes", "name", "message"),
    [
        ('<polyline label="cell" points="0,0;8,0"/>', "a.png", "has no area"),
        ('<polygon label="cell" points="0,0;8"/>', "a.png", "needs three points"),
        ('<polygon label="rust" points="0,0;8,0;8,3"/>', "a.png", "none of the classes"),
        ("", "../a.png", "leads out of the data set"),
        ("", "b.png", "export with images"),
        ("<", "a.png", "no export of CVAT"),
    ],
)
def test_a_bad_cvat_file_is_refused_by_name(
    shapes: str, name: str, message: str, tmp_path: Path
) -> None:
    root = cvat(tmp_path / "d", shapes, name)
    with pytest.raises(DataError, match=message) as caught:
        decode_one(root, "cvat")
    assert "annotations.xml" in str(caught.value)


def test_subsets_and_folders_divide_a_cvat_export(tmp_path: Path) -> None:
    maps = label_maps(3)
    root = export("cvat", tmp_path / "set", maps)
    text = (root / "annotations.xml").read_text()
    for index, subset in enumerate(("Train", "Validation", "Test")):
        text = text.replace(f'name="im_{index}.png"', f'name="im_{index}.png" subset="{subset}"')
    (root / "annotations.xml").write_text(text)
    assert masks_by_image("cvat", root, "val").keys() == {"im_1"}


def test_the_folders_of_a_labelme_set_divide_it(tmp_path: Path) -> None:
    export("labelme", tmp_path / "train", label_maps(2))
    export("labelme", tmp_path / "val", {"im_9": label_maps(1)["im_0"]})
    shutil.rmtree(tmp_path / "test", ignore_errors=True)
    assert masks_by_image("labelme", tmp_path, "val").keys() == {"im_9"}
    assert check(tmp_path).options["name"] == "labelme"


@pytest.mark.parametrize("start", ["C:\\\\data\\\\", "\\\\\\\\host\\\\share\\\\", "/home/anna/"])
@pytest.mark.parametrize("kind", ["labelme", "cvat"])
def test_absolute_paths_of_another_machine_are_found_by_their_ends(
    kind: AnnotationFormat, start: str, tmp_path: Path
) -> None:
    maps = label_maps(4)
    root = export(kind, tmp_path / "set", maps)
    written = start if kind == "labelme" else start.replace("\\\\", "\\")
    for path in root.rglob("*.json" if kind == "labelme" else "*.xml"):
        path.write_text(path.read_text().replace('"im_', f'"{written}im_'))
    decoded = masks_by_image(kind, root)
    for name, labels in maps.items():
        np.testing.assert_array_equal(decoded[name], labels)


def test_a_picture_inside_the_file_alone_is_told_with_the_way_out(tmp_path: Path) -> None:
    root = labelme(tmp_path, [shape("cell", "rectangle", [[0, 0], [4, 4]])], imageData="aGk=")
    (root / "a.png").unlink()
    with pytest.raises(DataError, match=r"labelme_export_json`\), or put it beside its JSON file"):
        decode_one(root)


def test_two_files_of_one_image_are_refused(tmp_path: Path) -> None:
    root = labelme(tmp_path, [shape("cell", "rectangle", [[0, 0], [4, 4]])])
    shutil.copy(root / "a.json", root / "a (1).json")
    with pytest.raises(DataError, match=r"are both of the image .*a\.png; keep one of them"):
        decode_one(root)
