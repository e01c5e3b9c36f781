"""The answers to one image of 2 x 3 pixels, byte by byte."""

from __future__ import annotations

import base64
import json
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.servers import Brightness, pixels

from segloom.errors import ConfigError, UnknownNameError
from segloom.serve.answers import Wish, present
from segloom.serve.models import Model
from segloom.types import LabelSet

COLORS = ((10, 20, 30), (200, 100, 0))
PLAIN = LabelSet(("background", "tree"), COLORS)
BOTH = LabelSet(("road", "tree"), COLORS, is_multilabel=True)
IMAGE = np.full((2, 3, 3), 100, np.uint8)
IDS = np.array([[0, 0, 1], [0, 255, 1]], np.uint8)
BITS = np.array([[0, 1, 2], [3, 255, 3]], np.uint8)
SURE = np.array([[1.0, 0.75, 0.4], [0.5, 0.9, 0.0]], np.float32)


def answer(labels: LabelSet, label_map: np.ndarray, **wish: Any) -> tuple[bytes, str]:
    found = Brightness(label_map, np.stack([SURE, 1 - SURE]))
    return present(Model("mine", labels, lambda _: found), IMAGE, found, Wish(**wish))


def facts(labels: LabelSet, label_map: np.ndarray, **wish: Any) -> dict[str, Any]:
    content, kind = answer(labels, label_map, **wish)
    assert kind == "application/json"
    return json.loads(content)


def test_shares_are_of_the_pixels_that_are_not_void() -> None:
    assert facts(PLAIN, IDS) == {
        "model": "mine",
        "height": 2,
        "width": 3,
        "overlaps": False,
        "classes": [
            {"id": 0, "name": "background", "color": [10, 20, 30], "pixels": 3, "share": 0.6},
            {"id": 1, "name": "tree", "color": [200, 100, 0], "pixels": 2, "share": 0.4},
        ],
    }


def test_shares_of_classes_that_overlap_add_to_more_than_one() -> None:
    found = facts(BOTH, BITS)
    assert found["overlaps"] is True
    assert [(entry["pixels"], entry["share"]) for entry in found["classes"]] == [(3, 0.6), (3, 0.6)]


def test_an_image_of_void_alone_has_shares_of_0() -> None:
    found = facts(PLAIN, np.full((2, 3), 255, np.uint8))
    assert [(entry["pixels"], entry["share"]) for entry in found["classes"]] == [(0, 0), (0, 0)]


def test_maps_are_bytes_row_by_row() -> None:
    found = facts(PLAIN, IDS, include=("label", "masks", "confidence"), encoding="zlib")
    texts = {"label": found["label"], "confidence": found["confidence"], **found["masks"]}
    maps = {name: list(zlib.decompress(base64.b64decode(text))) for name, text in texts.items()}
    assert maps == {
        "label": [0, 0, 1, 0, 255, 1],
        "confidence": [255, 191, 153, 128, 230, 255],
        "background": [255, 255, 0, 255, 0, 0],
        "tree": [0, 0, 255, 0, 0, 255],
    }


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("label", IDS.tolist()),
        ("confidence", [[255, 191, 153], [128, 230, 255]]),
    ],
)
def test_pictures_are_png_of_the_size_of_the_image(output: str, expected: list[list[int]]) -> None:
    content, kind = answer(PLAIN, IDS, output=output)
    assert kind == "image/png"
    assert pixels(content).tolist() == expected


def test_a_palette_picture_shows_the_colours_and_overlaps_are_painted() -> None:
    ids = np.array([[0, 0, 1], [1, 0, 1]], np.uint8)
    picture = Image.open(BytesIO(answer(PLAIN, ids, output="palette")[0]))
    assert picture.mode == "P"
    assert np.asarray(picture).tolist() == ids.tolist()
    assert picture.convert("RGB").getpixel((2, 0)) == (200, 100, 0)
    painted = pixels(answer(BOTH, BITS, output="palette")[0])
    assert painted.shape == (2, 3, 3)
    assert painted[1, 0].tolist() == [105, 60, 15]  # the mean of both


@pytest.mark.parametrize(("opacity", "red"), [(0.0, 100), (0.25, 125), (1.0, 200)])
def test_an_overlay_mixes_by_the_opacity_and_leaves_the_background(
    opacity: float, red: int
) -> None:
    found = pixels(answer(PLAIN, IDS, output="overlay", opacity=opacity)[0])
    assert found[0, 2, 0] == red
    assert found[0, 0].tolist() == [100, 100, 100]


@pytest.mark.parametrize(("name", "row"), [("road", [255, 0, 255]), ("tree", [255, 0, 255])])
def test_a_mask_holds_every_pixel_of_its_class(name: str, row: list[int]) -> None:
    found = pixels(answer(BOTH, BITS, output="mask", class_name=name)[0])
    first = {"road": [0, 255, 0], "tree": [0, 0, 255]}[name]
    assert found.tolist() == [first, row]


def test_polygons_are_of_everything_but_the_background() -> None:
    content, kind = answer(PLAIN, IDS, output="polygons")
    assert kind == "application/geo+json"
    (feature,) = json.loads(content)["features"]
    assert feature["properties"] == {"class": "tree", "area": 2}
    assert {tuple(point) for point in feature["geometry"]["coordinates"][0]} == {
        *((2, 0), (3, 0), (3, 2), (2, 2)),
    }
    assert json.loads(answer(PLAIN, IDS, output="polygons", min_area=3)[0])["features"] == []


@pytest.mark.parametrize(
    ("labels", "wish", "kind", "sentence"),
    [
        (PLAIN, {"output": "mask"}, ConfigError, "output=mask needs a class: add class=NAME."),
        (
            PLAIN,
            {"output": "mask", "class_name": "tre"},
            UnknownNameError,
            "unknown class 'tre': did you mean 'tree'",
        ),
        (BOTH, {"output": "label"}, ConfigError, "one label map cannot show them"),
        (BOTH, {"include": ("label",)}, ConfigError, "one label map cannot show them"),
    ],
)
def test_a_wish_that_the_classes_cannot_meet_is_refused(
    labels: LabelSet, wish: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        answer(labels, BITS, **wish)
