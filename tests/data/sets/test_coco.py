"""COCO's JSON: polygons, run lengths, overlaps, crowds, and files that mean harm."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data import build_dataset
from segloom.data.sets.coco import CocoDecoder, is_here, read
from segloom.data.sets.outlines import draw_outline, fill_polygon, read_runs, unpack_runs
from segloom.data_check import check
from segloom.errors import ConfigError, DataError, NoSplitError

BIG = [[1.0, 1.0, 7.0, 1.0, 7.0, 5.0, 1.0, 5.0]]
SMALL = [[2, 2, 4, 2, 4, 4, 2, 4]]
HEIGHT, WIDTH = 6, 8


def thing(category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "image_id": 1,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": 0,
        **more,
    }


def content(*things: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": list(things),
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        **more,
    }


def write(root: Path, values: Any, split: str = "train") -> Path:
    path = root / "annotations" / f"instances_{split}2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    (root / f"{split}2017").mkdir(exist_ok=True)
    pixels = np.full((HEIGHT, WIDTH, 3), len(split), np.uint8)
    Image.fromarray(pixels).save(root / f"{split}2017" / "a.png")
    return root


def draw(root: Path, *things: dict[str, Any]) -> np.ndarray:
    config = DataConfig(name="coco", root=write(root, content(*things)), cache=False)
    return np.asarray(build_dataset(config, "train")[0]["mask"])


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[top:bottom, left:right] = True
    return pixels


def test_categories_follow_the_background_in_the_order_of_their_ids(tmp_path):
    labels = draw(tmp_path, thing(7, BIG))
    assert read(DataConfig(root=tmp_path), "train").labels.classes == ("background", "cat", "dog")
    np.testing.assert_array_equal(labels, 2 * box(1, 1, 7, 5))


@pytest.mark.parametrize("order", [1, -1])
def test_the_smaller_object_is_on_top_whatever_the_order(tmp_path, order):
    labels = draw(tmp_path, *[thing(7, BIG), thing(3, SMALL)][::order])
    expected = np.where(box(2, 2, 4, 4), 1, 2 * box(1, 1, 7, 5))
    np.testing.assert_array_equal(labels, expected)


def test_a_crowd_is_void_where_no_other_object_is(tmp_path):
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}
    labels = draw(tmp_path, thing(3, SMALL), thing(7, runs, iscrowd=1))
    np.testing.assert_array_equal(labels, np.where(box(2, 2, 4, 4), 1, 255))


def test_polygons_of_one_object_are_joined(tmp_path):
    labels = draw(tmp_path, thing(3, [*SMALL, [5, 0, 6, 0, 6, 2, 5, 2]]))
    np.testing.assert_array_equal(labels > 0, box(2, 2, 4, 4) | box(5, 0, 6, 2))


def test_parts_of_one_or_two_points_are_left_out_beside_a_polygon(tmp_path):
    labels = draw(tmp_path, thing(3, [[5, 0], *SMALL, [], [0, 0, 6, 5]]))
    np.testing.assert_array_equal(labels > 0, box(2, 2, 4, 4))


CAT, DOG, COW = ({"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}, {"id": 9, "name": "cow"})


def read_val(root: Path, values: dict[str, Any], **options: Any) -> tuple[tuple[str, ...], Any]:
    write(write(root, content(thing(7, BIG))), values, "val")
    config = DataConfig(name="coco", root=root, cache=False, **options)
    dataset = build_dataset(config, "val")
    return dataset.classes, np.asarray(dataset[0]["mask"])


@pytest.mark.parametrize(
    "categories",
    [
        [DOG],
        [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
        [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        [CAT, DOG, COW],
        [{"id": 1, "name": "animals"}, DOG],
        [{"id": 0, "name": "background"}, DOG],
    ],
)
def test_every_split_has_the_classes_of_training_by_name(tmp_path, categories):
    dog = next(entry["id"] for entry in categories if entry["name"] == "dog")
    values = content(thing(dog, BIG), categories=categories)
    classes, labels = read_val(tmp_path, values)
    assert classes == ("background", "cat", "dog")
    np.testing.assert_array_equal(labels, 2 * box(1, 1, 7, 5))


def test_a_split_alone_has_its_own_classes(tmp_path):
    write(tmp_path, content(thing(9, BIG), categories=[COW]), "val")
    assert read(DataConfig(root=tmp_path), "val").labels.classes == ("background", "cow")


def test_a_category_that_training_does_not_know_is_refused_where_it_is_used(tmp_path):
    values = content(thing(9, BIG), categories=[CAT, DOG, COW])
    with pytest.raises(DataError, match=r"val2017\.json .* 'cow'.*train2017\.json does not know"):
        read_val(tmp_path, values)
    report = check(tmp_path)
    assert any("'cow'" in f.message for f in report.findings if f.level == "problem")


def test_decoded_samples_follow_the_classes_of_training(tmp_path):
    write(write(tmp_path, content(thing(7, BIG))), content(thing(7, BIG)), "val")
    config = DataConfig(name="coco", root=tmp_path, cache_dir=tmp_path / "cache")
    assert int(build_dataset(config, "val")[0]["mask"].max()) == 2
    write(tmp_path, content(thing(7, BIG), categories=[DOG]))
    assert int(build_dataset(config, "val")[0]["mask"].max()) == 1


@pytest.mark.parametrize(
    ("classes", "dog", "ground"),
    [(("background", "dog", "cat"), 1, 0), (("dog", "cat", "background"), 0, 2)],
)
def test_the_option_classes_orders_the_categories_by_name(tmp_path, classes, dog, ground):
    found, labels = read_val(tmp_path, content(thing(7, BIG)), classes=classes)
    assert found == classes
    np.testing.assert_array_equal(labels, np.where(box(1, 1, 7, 5), dog, ground))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("background", "cat", "dgo"), r"data\.classes.* 'dgo': did you mean 'dog'"),
        (("background", "dog"), r"data\.classes .* not a reordering of .*background, cat, dog"),
        (("cat", "dog"), r"data\.classes .* not a reordering of .*background, cat, dog"),
    ],
)
def test_the_option_classes_renames_and_drops_nothing(tmp_path, classes, message):
    with pytest.raises(ConfigError, match=message):
        read_val(tmp_path, content(thing(7, BIG)), classes=classes)


def test_categories_are_merged_by_a_label_map(tmp_path):
    options = {"classes": ("ground", "pet"), "label_map": {"0": 0, "1": 1, "2": 1}}
    found, labels = read_val(tmp_path, content(thing(7, BIG)), **options)
    assert found == ("ground", "pet")
    np.testing.assert_array_equal(labels, box(1, 1, 7, 5))


@pytest.mark.parametrize("seed", range(8))
def test_a_pixel_is_inside_if_its_centre_is(seed):
    points = np.random.default_rng(seed).uniform(-4, 24, (9, 2))  # crosses itself and the border

    def is_inside(x: float, y: float) -> bool:
        inside = False
        for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if (y1 <= y) != (y2 <= y) and x >= x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                inside = not inside
        return inside

    expected = [[is_inside(c + 0.5, r + 0.5) for c in range(20)] for r in range(17)]
    np.testing.assert_array_equal(fill_polygon(points, 17, 20), expected)


def test_run_lengths_of_pycocotools_mean_the_same_pixels():
    expected = np.zeros((9, 7), bool)  # encoded there as below
    expected[2:5, 1:4] = expected[6, 5] = expected[0, 0] = True
    runs = {"size": [9, 7], "counts": "01:2L000=NH"}
    np.testing.assert_array_equal(draw_outline(runs, 9, 7, "x"), expected)
    plain = {"size": [9, 7], "counts": unpack_runs("01:2L000=NH")}
    np.testing.assert_array_equal(read_runs(plain, 9, 7, "x"), expected)


def test_images_of_roboflow_lie_beside_their_annotations(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / name / "a.png")
        categories = [{"id": 0, "name": "background"}, {"id": 1, "name": "crack"}]
        text = json.dumps(content(thing(1, BIG), categories=categories))
        (tmp_path / name / "_annotations.coco.json").write_text(text)
    for split in ("train", "val", "test"):
        source = read(DataConfig(root=tmp_path), split)
        assert source.labels.classes == ("background", "crack")
        assert source.records[0].image.is_file()


def test_samples_are_cached_per_image_and_made_anew_when_the_json_changes(tmp_path):
    values = content(thing(3, BIG))
    values["images"].append({**values["images"][0], "id": 2, "file_name": "b.png"})
    write(tmp_path, values)
    Image.new("RGB", (WIDTH, HEIGHT), (9, 9, 9)).save(tmp_path / "train2017" / "b.png")
    config = DataConfig(name="coco", root=tmp_path, cache_dir=tmp_path / "cache")
    for _ in range(2):
        dataset = build_dataset(config, "train")
        assert [int(dataset[n]["mask"].max()) for n in range(2)] == [1, 0]
    assert len(list((tmp_path / "cache").rglob("*.sample"))) == 2
    values["annotations"][0]["category_id"] = 7
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(values) + " ")
    assert int(build_dataset(config, "train")[0]["mask"].max()) == 2
    assert pickle.loads(pickle.dumps(dataset.decode)) == dataset.decode
    assert isinstance(dataset.decode, CocoDecoder)


def test_the_check_recognises_it(tmp_path):
    write(tmp_path, content(thing(7, BIG)))
    write(tmp_path, content(thing(3, SMALL)), "val")
    assert "cat has not one pixel" in str(check(tmp_path).findings)
    write(tmp_path, content(thing(7, BIG), thing(3, SMALL)))
    Image.new("RGB", (WIDTH, HEIGHT), (9, 9, 9)).save(tmp_path / "val2017/a.png")
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options["name"] == "coco"
    assert [row.name for row in report.labels] == ["background", "cat", "dog"]
    assert [f.kind for f in report.findings] == ["coco", "no-split"]
    write(tmp_path, content(thing(7, [])))
    damaged = next(f for f in check(tmp_path).findings if f.kind == "damaged")
    assert "object 5 of a.png has no outline" in damaged.files[0]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "has no outline .*only a box"),
        (None, "has no outline"),
        ([[1, 2, 3, 4]], "a polygon that is none"),
        ([[], [1, 2], [1, 2, 3, 4]], "a polygon that is none"),
        ([*BIG, [1, 2, 3]], "a polygon that is none"),
        ([*BIG, [1e300, 2]], "a polygon that is none"),
        ([[1, 2, 3, 4, 5]], "a polygon that is none"),
        ([["a", 2, 3, 4, 5, 6]], "a polygon that is none"),
        ([[1, 2, 1e300, 4, 5, 6]], "a polygon that is none"),
        ([[1, 2, float("nan"), 4, 5, 6]], "a polygon that is none"),
        ([{"x": 1}], "a polygon that is none"),
        ({"size": [9, 9], "counts": [81]}, r"of the size \[9, 9\], not \[6, 8\]"),
        ({"size": [6, 8], "counts": [47]}, "do not fill 6 x 8"),
        ({"size": [6, 8], "counts": [58, -10]}, "do not fill 6 x 8"),
        ({"size": [6, 8], "counts": [0.5]}, "do not fill 6 x 8"),
        ({"size": [6, 8], "counts": "~~~"}, "do not fill 6 x 8"),
        ({"size": [6, 8], "counts": "o" * 99}, "do not fill 6 x 8"),
        ({"size": [6, 8]}, "do not fill 6 x 8"),
    ],
)
def test_hostile_outlines_are_refused_with_their_object(tmp_path, segmentation, message):
    with pytest.raises(DataError, match=f"object 5 of a.png .*{message}"):
        draw(tmp_path, thing(3, segmentation))


def test_a_polygon_that_winds_a_million_times_is_refused():
    points = [coordinate for _ in range(20_000) for coordinate in (1, 0, 1, 4000)]
    with pytest.raises(DataError, match="that is too long"):
        draw_outline([points], 4000, 2, "x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{", "is no JSON or is cut short"),
        ("[" * 100_000, "is no JSON or is cut short"),
        ("[]", "is not of COCO's form"),
        ({"images": []}, "is not of COCO's form"),
        (content(images=[]), "lists no image"),
        (content(images=content()["images"] * 2), "lists an image id twice"),
        (content({"image_id": 9, "category_id": 3}), "is not of COCO's form"),
        (content(thing(99, BIG)), "is not of COCO's form"),
        (content(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]), "alike"),
        (content(categories=[{"id": n, "name": str(n)} for n in range(255)]), "255 categories"),
        (content(categories=[{"id": "x", "name": "a"}]), "is not of COCO's form"),
    ],
)
def test_hostile_files_are_refused_with_their_name(tmp_path, values, message):
    with pytest.raises(DataError, match=rf"instances_train2017\.json .*{message}"):
        read(DataConfig(root=write(tmp_path, values)), "train")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"file_name": "../../a.png"}, "leads out of the data set"),
        ({"file_name": "/etc/passwd"}, "lists etc/passwd, which is in none of"),
        ({"height": 10**9}, "which no image has"),
        ({"height": -1}, "which no image has"),
        ({"width": "8"}, "which no image has"),
        ({"file_name": "b.png"}, "lists b.png, which is in none of"),
    ],
)
def test_hostile_image_entries_are_refused(tmp_path, entry, message):
    values = content()
    values["images"][0].update(entry)
    with pytest.raises(DataError, match=message):
        read(DataConfig(root=write(tmp_path, values)), "train")


def test_an_image_of_another_size_is_refused(tmp_path):
    write(tmp_path, content(thing(3, BIG)))
    Image.new("RGB", (3, 3)).save(tmp_path / "train2017" / "a.png")
    config = DataConfig(name="coco", root=tmp_path, cache=False)
    with pytest.raises(DataError, match=r"a\.png is 3 x 3 pixels, but .* says 8 x 6"):
        build_dataset(config, "train")[0]


def test_missing_and_doubled_annotation_files_are_told(tmp_path):
    assert not is_here(tmp_path)
    with pytest.raises(DataError, match=r"holds no annotations/instances_val\*\.json"):
        read(DataConfig(root=tmp_path), "val")
    write(tmp_path, content())
    with pytest.raises(NoSplitError, match=r"no annotation file for the split test; .*--split val"):
        read(DataConfig(root=tmp_path), "test")
    (tmp_path / "annotations" / "instances_train2014.json").write_text("{}")
    with pytest.raises(DataError, match="several annotation files for train"):
        read(DataConfig(root=tmp_path), "train")
