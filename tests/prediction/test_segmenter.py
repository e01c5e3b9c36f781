"""Images of every kind give the same answer as the file that they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.networks import labels, model

import segloom
from segloom.config import InferenceConfig
from segloom.errors import DataError
from segloom.inference import Predictor
from segloom.models import SegmentationModel
from segloom.models.weights.checkpoint import save_pretrained
from segloom.prediction.segmentation import Segmentation
from segloom.prediction.segmenter import Segmenter
from segloom.types import LabelSet

__all__ = ["labels", "model"]

PIXELS = np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor(model: SegmentationModel, labels: LabelSet) -> Predictor:
    return Predictor(model, labels, InferenceConfig(device="cpu"))


@pytest.fixture
def segmenter(predictor: Predictor) -> Segmenter:
    return Segmenter(predictor)


def check(result: Segmentation, predictor: Predictor) -> None:
    np.testing.assert_array_equal(result.image, PIXELS)
    np.testing.assert_array_equal(result.label_map, predictor.label_map(PIXELS))
    assert result.probabilities is not None
    np.testing.assert_array_equal(result.probabilities, predictor.probabilities(PIXELS))
    assert result.classes == ("sky", "road", "car", "tree", "sign")


def test_every_form_of_one_image_is_the_same_image(
    segmenter: Segmenter, predictor: Predictor, tmp_path: Path
) -> None:
    Image.fromarray(PIXELS).save(path := tmp_path / "a.png")
    with Image.open(path) as opened:
        for image in (
            path,
            str(path),
            opened,
            PIXELS,
            PIXELS / 255,
            PIXELS.astype(np.uint16) * 256 + 7,
            np.dstack([PIXELS, np.full((40, 56), 9, np.uint8)]),
            torch.from_numpy(PIXELS).permute(2, 0, 1),
            (torch.from_numpy(PIXELS).permute(2, 0, 1) / 255).requires_grad_(),
        ):
            check(segmenter(image), predictor)


def test_grey_is_repeated_as_in_files(
    segmenter: Segmenter, predictor: Predictor, tmp_path: Path
) -> None:
    Image.fromarray(PIXELS[..., 0]).save(path := tmp_path / "grey.png")
    expected = segmenter(path).label_map
    for image in (PIXELS[..., 0], PIXELS[..., :1], torch.from_numpy(PIXELS[..., 0])):
        np.testing.assert_array_equal(segmenter(image).label_map, expected)


def test_a_batch_gives_a_list_in_its_order(segmenter: Segmenter, predictor: Predictor) -> None:
    other = PIXELS[::-1].copy()
    batch = np.stack([other, PIXELS])
    for images in (batch, list(batch), torch.from_numpy(batch).permute(0, 3, 1, 2)):
        first, second = segmenter(images)
        np.testing.assert_array_equal(first.image, other)
        check(second, predictor)


def test_probabilities_may_be_left_out(segmenter: Segmenter, predictor: Predictor) -> None:
    result = segmenter(PIXELS, probabilities=False)
    assert result.probabilities is None
    np.testing.assert_array_equal(result.label_map, predictor.label_map(PIXELS))


def test_what_is_no_image_is_refused_in_a_sentence(segmenter: Segmenter, tmp_path: Path) -> None:
    for image, sentence in (
        (PIXELS.transpose(2, 0, 1), "the channels come last"),
        (PIXELS[..., :2], "the network takes 3 channels; this image has 2"),
        (PIXELS.astype(np.int64), "int64; give uint8, uint16, or floats from 0 to 1"),
        (PIXELS.astype(float), "float64 with values from 0 to 255"),
        (np.full((4, 4, 3), np.nan), "values from nan"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        ({"image": PIXELS}, "type dict; give an array, a tensor or a PIL image"),
        (tmp_path / "none.png", "does not exist"),
        (tmp_path, "is a folder; give an image file"),
    ):
        with pytest.raises(DataError, match=sentence):
            segmenter(image)


def test_a_saved_network_is_loaded_by_its_folder(
    model: SegmentationModel, labels: LabelSet, predictor: Predictor, tmp_path: Path
) -> None:
    save_pretrained(model, tmp_path / "model", labels=labels)
    segmenter = segloom.load(str(tmp_path / "model"), InferenceConfig(device="cpu"))
    assert segmenter.classes == labels.classes
    check(segmenter(PIXELS), predictor)
