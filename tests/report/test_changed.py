"""Pictures of changed images: how much they changed, and a page that stays small."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.report import changed
from segloom.report.changed import ChangedFigure, ChangedImage, ChangedPair, embed_changed


@pytest.fixture
def picture(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def pair(path, number):
    images = tuple(ChangedImage(f"image {n}", 0.5, 0.25, path) for n in range(number))
    return ChangedPair("demo", "unet", "resnet18", "afma", 0, images)


def test_the_change_of_an_image_is_what_the_variant_added(picture):
    assert ChangedFigure(ChangedImage("a", 0.25, 0.75, picture), None).change == 0.5
    assert ChangedFigure(ChangedImage("a", 0.75, 0.25, picture), None).change == -0.5


@pytest.mark.parametrize(("number", "limit"), [(1, 300_000), (20, 300_000), (40, 150_000)])
def test_all_pictures_together_keep_within_the_budget(number, limit, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(changed, "embed_picture", lambda path, *, limit: asked.append(limit))
    found = embed_changed([pair(tmp_path, number - number // 2), pair(tmp_path, number // 2)])
    assert asked == [limit] * number
    assert number * limit <= changed.PICTURE_BUDGET
    assert [figure.image.id for figure in found[0][1]][:2] == ["image 0", "image 1"][:number]


def test_pictures_are_embedded(picture):
    ((_, (figure,)),) = embed_changed([pair(picture, 1)])
    assert figure.picture.address.startswith("data:image/webp;base64,")
    assert (figure.picture.width, figure.picture.height) == (400, 300)


def test_a_picture_that_is_gone_leaves_its_words(tmp_path):
    ((_, (figure,)),) = embed_changed([pair(tmp_path / "gone.png", 1)])
    assert figure.picture is None
    assert figure.change == -0.25


def test_no_pictures_are_no_trouble():
    empty = ChangedPair("demo", "unet", "resnet18", "afma", 0, cause="no test images")
    assert embed_changed([empty]) == [(empty, [])]
    assert embed_changed([]) == []
