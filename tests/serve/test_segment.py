"""An image goes in over HTTP; pictures, polygons and facts come out."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from support.servers import LABELS, a_model, by_brightness, picture, pixels, png, running

from segloom.labels.painting import tint
from segloom.labels.pictures import colorize
from segloom.serve.models import Model
from segloom.types import LabelSet

IMAGE = picture()
TRUE = by_brightness(IMAGE)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running([a_model(), a_model(name="again"), overlapping(), four_channels()]) as client:
        yield client


def overlapping() -> Model:
    """Bright and reddish, each for itself: bits 0 and 1."""

    def segment(image):
        answer = by_brightness(image)
        bright, red = image.mean(2) > 100, answer.label_map == 2
        answer.probabilities = np.stack([bright * 0.75, red * 0.75]).astype(np.float32)
        answer.label_map = (bright | red << 1).astype(np.uint8)
        return answer

    labels = LabelSet(("bright", "red"), ((250, 250, 160), (220, 20, 60)), is_multilabel=True)
    return Model("overlapping", labels, segment)


def four_channels() -> Model:
    return Model("deep", LABELS, by_brightness, num_channels=4)


def ask(client: httpx.Client, **parameters: object) -> httpx.Response:
    return client.post("/v1/segment", params=parameters, content=png(IMAGE))


def test_json_has_the_share_of_every_class(client: httpx.Client) -> None:
    facts = ask(client).json()
    counts = np.bincount(TRUE.label_map.ravel(), minlength=3)
    assert (facts["model"], facts["height"], facts["width"]) == ("brightness", 40, 60)
    assert [entry["name"] for entry in facts["classes"]] == ["dark", "bright", "red"]
    assert [entry["pixels"] for entry in facts["classes"]] == counts.tolist()
    assert [entry["share"] for entry in facts["classes"]] == pytest.approx(counts / 2400)
    assert facts["classes"][2]["color"] == [220, 20, 60]


@pytest.mark.parametrize("accept", ["image/png", "image/png;q=0.9, */*"])
def test_label_png_holds_the_class_ids(client: httpx.Client, accept: str) -> None:
    by_header = client.post("/v1/segment", content=png(IMAGE), headers={"Accept": accept})
    by_name = ask(client, output="label", model="again")
    for answer in (by_header, by_name):
        assert answer.headers["content-type"] == "image/png"
        np.testing.assert_array_equal(pixels(answer.content), TRUE.label_map)


def test_pictures_are_those_of_predict(client: httpx.Client) -> None:
    overlay = pixels(ask(client, output="overlay").content)
    np.testing.assert_array_equal(overlay, tint(IMAGE, TRUE.label_map, LABELS))
    opaque = pixels(ask(client, output="overlay", opacity=1).content)
    np.testing.assert_array_equal(opaque, colorize(TRUE.label_map, LABELS.palette))
    palette = pixels(ask(client, output="palette").content)
    np.testing.assert_array_equal(palette, TRUE.label_map)
    mask = pixels(ask(client, output="mask", **{"class": "red"}).content)
    np.testing.assert_array_equal(mask, 255 * (TRUE.label_map == 2))
    confidence = pixels(ask(client, output="confidence").content)
    np.testing.assert_array_equal(confidence, np.rint(255 * TRUE.probabilities.max(0)))


def test_polygons_are_geojson_in_pixels(client: httpx.Client) -> None:
    answer = ask(client, output="polygons")
    assert answer.headers["content-type"] == "application/geo+json"
    red = [f for f in answer.json()["features"] if f["properties"]["class"] == "red"]
    assert [f["properties"]["area"] for f in red] == [10 * 30]
    ring = red[0]["geometry"]["coordinates"][0]
    assert {tuple(point) for point in ring} == {(15, 10), (45, 10), (45, 20), (15, 20)}
    few = ask(client, output="polygons", min_area=301).json()["features"]
    assert {f["properties"]["class"] for f in few} == {"dark", "bright"}


def test_json_can_hold_everything_of_one_inference(client: httpx.Client) -> None:
    facts = ask(client, include="label,masks,confidence,polygons").json()
    label, confidence = (pixels(base64.b64decode(facts[name])) for name in ("label", "confidence"))
    np.testing.assert_array_equal(label, TRUE.label_map)
    np.testing.assert_array_equal(confidence, np.rint(255 * TRUE.probabilities.max(0)))
    assert set(facts["masks"]) == {"dark", "bright", "red"}
    assert len(facts["polygons"]["features"]) == 3


def test_maps_can_be_bytes_instead_of_pictures(client: httpx.Client) -> None:
    facts = ask(client, include="label,confidence,masks", encoding="zlib").json()
    masks = {"label": facts["label"], "confidence": facts["confidence"], **facts["masks"]}
    maps = {name: zlib.decompress(base64.b64decode(text)) for name, text in masks.items()}
    found = {n: np.frombuffer(values, np.uint8).reshape(40, 60) for n, values in maps.items()}
    np.testing.assert_array_equal(found["label"], TRUE.label_map)
    np.testing.assert_array_equal(found["confidence"], np.rint(255 * TRUE.probabilities.max(0)))
    np.testing.assert_array_equal(found["red"], 255 * (TRUE.label_map == 2))


def test_classes_that_overlap_have_masks_and_no_label_map(client: httpx.Client) -> None:
    facts = ask(client, model="overlapping").json()
    assert facts["overlaps"]
    assert [entry["pixels"] for entry in facts["classes"]] == [1200 - 150, 300]
    mask = pixels(ask(client, model="overlapping", output="mask", **{"class": "red"}).content)
    np.testing.assert_array_equal(mask, 255 * (TRUE.label_map == 2))
    confidence = pixels(ask(client, model="overlapping", output="confidence").content)
    assert set(np.unique(confidence)) == {191, 255}  # 0.75 in or 1 - 0 out of a class
    overlay = pixels(ask(client, model="overlapping", output="overlay").content)
    assert (overlay[0, 0] == IMAGE[0, 0]).all()
    refused = ask(client, model="overlapping", output="label")
    assert refused.status_code == 400
    assert "one label map cannot show them" in refused.json()["error"]


@pytest.mark.parametrize(
    ("parameters", "status", "sentence"),
    [
        ({"output": "labels"}, 400, "did you mean 'label'?"),
        ({"outptu": "label"}, 400, "unknown parameter 'outptu': did you mean 'output'?"),
        ({"include": "label,maks"}, 400, "unknown include 'maks': did you mean 'masks'?"),
        ({"model": "brigthness"}, 404, "did you mean 'brightness'?"),
        ({"encoding": "gzip"}, 400, "unknown encoding 'gzip'"),
        ({"output": "mask"}, 400, "add class=NAME"),
        ({"output": "mask", "class": "rde"}, 400, "unknown class 'rde': did you mean 'red'?"),
        ({"output": "overlay", "opacity": "2"}, 400, "opacity is '2'; give a number from 0 to 1"),
        ({"opacity": "nan"}, 400, "opacity is 'nan'"),
        ({"min_area": "-1"}, 400, "min_area is '-1'; give a whole number of 0 or more."),
        ({"min_area": "1.5"}, 400, "whole number"),
        ({"model": "deep"}, 422, "send a tensor to /v2/models/deep/infer"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_sentence(
    client: httpx.Client, parameters: dict[str, str], status: int, sentence: str
) -> None:
    answer = ask(client, **parameters)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_models_are_listed_with_their_classes(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["default"] == "brightness"
    assert [m["name"] for m in listed["models"]] == ["brightness", "again", "overlapping", "deep"]
    assert listed["models"][0]["classes"][1] == {
        "id": 1,
        "name": "bright",
        "color": [250, 250, 160],
    }


def test_a_form_is_refused_with_the_command_that_works(client: httpx.Client) -> None:
    answer = client.post("/v1/segment", files={"image": png(IMAGE)})
    assert answer.status_code == 415
    assert "curl --data-binary @street.jpg" in answer.json()["error"]


def test_other_paths_and_methods_are_sentences(client: httpx.Client) -> None:
    answer = client.get("/v1/segment")
    assert (answer.status_code, answer.json()["error"]) == (405, "/v1/segment takes POST, not GET.")
    for path in ("/nothing", "/../../etc/passwd", "/v1/%2e%2e/etc/passwd", "/%00"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "there is nothing at" in answer.json()["error"]
