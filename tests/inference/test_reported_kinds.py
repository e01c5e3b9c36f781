"""What users of other tools reported of batches, windows and odd inputs: the right numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from segloom.config import InferenceConfig
from segloom.errors import DataError
from segloom.inference import Predictor
from segloom.models import SegmentationModel
from segloom.types import LabelSet

SIZES = [(1, 1), (7, 300), (33, 65), (95, 127)]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pixels(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


@pytest.mark.parametrize("architecture", ["unet", "fpn", "pspnet", "linknet", "deeplabv3plus"])
def test_an_image_gets_the_same_answer_alone_in_a_batch_and_from_the_predictor(
    architecture: str, make_model: Callable[..., SegmentationModel], labels: LabelSet
) -> None:
    model = make_model(architecture, "resnet18", **OPTIONS.get(architecture, {}))
    images = [picture(45, 61, seed) for seed in range(4)]
    with torch.inference_mode():
        together = model(model.normalize(torch.stack([pixels(image) for image in images])))
        singles = [model(model.normalize(pixels(image)[None]))[0] for image in images]
    predictor = Predictor(model, labels, InferenceConfig(device="cpu"))
    for image, alone, logits in zip(images, singles, together, strict=True):
        torch.testing.assert_close(alone, logits, rtol=0, atol=1e-5)
        np.testing.assert_allclose(
            predictor.probabilities(image), alone.softmax(0).numpy(), rtol=0, atol=1e-5
        )
        np.testing.assert_array_equal(predictor.label_map(image), alone.argmax(0).numpy())


OPTIONS = {"pspnet": {"encoder_depth": 3}}


@pytest.mark.parametrize(
    ("size", "window"),
    [
        *((size, window) for size in SIZES for window in [(500, 700), (31, 45), (96, 128)]),
        *((size, window) for size in [(1, 1), (33, 65)] for window in [(32, 1), (1, 32)]),
    ],
)
@pytest.mark.parametrize("blend", ["smooth", "average"])
def test_probabilities_add_up_to_one_through_any_window(
    model: SegmentationModel,
    labels: LabelSet,
    size: tuple[int, int],
    window: tuple[int, int],
    blend: str,
) -> None:
    image = picture(*size)
    config = InferenceConfig(device="cpu", window=window, overlap=0.25, blend=blend)
    predictor = Predictor(model, labels, config)
    found = predictor.probabilities(image)
    assert found.shape == (5, *size)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(predictor.label_map(image), found.argmax(0))
    if window[0] >= size[0] and window[1] >= size[1]:
        whole = Predictor(model, labels, InferenceConfig(device="cpu")).probabilities(image)
        np.testing.assert_array_equal(found, whole)


def test_bfloat16_is_near_in_probability_and_mirror_images_are_exact(
    model: SegmentationModel, labels: LabelSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segloom.inference.optimize.bfloat16_is_fast", lambda: True)
    image = picture(64, 96)
    exact = Predictor(model, labels, InferenceConfig(device="cpu"))
    fast = Predictor(model, labels, InferenceConfig(device="cpu", precision="bf16"))
    assert np.abs(exact.probabilities(image) - fast.probabilities(image)).mean() < 0.01
    flip = Predictor(model, labels, InferenceConfig(device="cpu", flip=True))
    mirrored = exact.probabilities(image[:, ::-1])[..., ::-1]
    mean = (exact.probabilities(image) + mirrored) / 2
    np.testing.assert_allclose(flip.probabilities(image), mean, atol=1e-6)


def test_a_network_in_training_mode_predicts_as_in_evaluation(
    make_model: Callable[..., SegmentationModel], labels: LabelSet
) -> None:
    model, image = make_model("unet", "tu-test_resnet"), picture(40, 48)
    expected = Predictor(model, labels, InferenceConfig(device="cpu")).probabilities(image)
    found = Predictor(model.train(), labels, InferenceConfig(device="cpu")).probabilities(image)
    np.testing.assert_array_equal(found, expected)
    assert model.training


def test_a_pil_image_is_its_pixels(model: SegmentationModel, labels: LabelSet) -> None:
    predictor, image = Predictor(model, labels, InferenceConfig(device="cpu")), picture(20, 30)
    photo = Image.fromarray(image)
    np.testing.assert_array_equal(predictor.label_map(photo), predictor.label_map(image))
    np.testing.assert_array_equal(predictor.probabilities(photo), predictor.probabilities(image))
    with_alpha = photo.copy()
    with_alpha.putalpha(7)
    np.testing.assert_array_equal(predictor.label_map(with_alpha), predictor.label_map(image))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((2, 8, 8, 3), np.uint8),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 3, 8, 8),
        "photo.jpg",
        [[[0, 0, 0]]],
        None,
    ],
)
def test_any_other_form_is_one_sentence(
    model: SegmentationModel, labels: LabelSet, image: object
) -> None:
    predictor = Predictor(model, labels, InferenceConfig(device="cpu"))
    for ask in (predictor.label_map, predictor.probabilities):
        with pytest.raises(DataError, match=r"^(an image is a uint8 array|the network takes 3)"):
            ask(image)  # type: ignore[operator]
