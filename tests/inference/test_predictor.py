"""One image in, one answer out, whatever its size and whatever the options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.cells import small_encoder

from segloom.config import InferenceConfig
from segloom.errors import CheckpointError, ConfigError, DataError
from segloom.images.windows import fallback_window
from segloom.inference import Predictor
from segloom.models import SegmentationModel
from segloom.models.weights.checkpoint import save_pretrained
from segloom.types import LabelSet


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor(model: SegmentationModel, labels: LabelSet) -> Predictor:
    return Predictor(model, labels, InferenceConfig(device="cpu"))


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (70, 41)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": (32, 48)},
        {"flip": True, "scales": (0.5, 1.0)},
        {"window": (64, 64), "overlap": 0.25, "flip": True},
        {"window": (64, 64), "flip": True, "average": "logits"},
    ],
)
def test_labels_and_probabilities_agree(
    model: SegmentationModel, labels: LabelSet, size: tuple[int, int], options: dict
) -> None:
    predictor = Predictor(model, labels, InferenceConfig(device="cpu", **options))
    image = picture(*size)
    label_map, probabilities = predictor.label_map(image), predictor.probabilities(image)
    assert label_map.shape == size
    assert label_map.dtype == np.uint8
    assert probabilities.shape == (5, *size)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(label_map, probabilities.argmax(0))


@torch.inference_mode()
def test_logits_of_views_are_averaged_if_asked(model: SegmentationModel, labels: LabelSet) -> None:
    image = picture(48, 64)
    pixels = model.normalize(torch.from_numpy(image).permute(2, 0, 1)[None])
    mean = (model(pixels) + model(pixels.flip(-1)).flip(-1)) / 2
    config = InferenceConfig(device="cpu", flip=True, average="logits")
    predictor = Predictor(model, labels, config)
    np.testing.assert_array_equal(predictor.label_map(image), mean.argmax(1)[0].numpy())
    expected = mean.softmax(1)[0].numpy()
    np.testing.assert_allclose(predictor.probabilities(image), expected, atol=1e-5)


@torch.inference_mode()
def test_labels_are_those_of_the_network(predictor: Predictor, model: SegmentationModel) -> None:
    image = picture(50, 77)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = model(model.normalize(pixels)).argmax(1)[0].numpy()
    np.testing.assert_array_equal(predictor.label_map(image), expected)


def test_array_layout_does_not_matter(predictor: Predictor) -> None:
    image = picture(40, 60)
    expected = predictor.label_map(image)
    flipped_twice = image[:, ::-1].copy()[:, ::-1]
    read_only = image.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(predictor.label_map(flipped_twice), expected)
    np.testing.assert_array_equal(predictor.label_map(read_only), expected)
    np.testing.assert_array_equal(predictor.label_map(np.asfortranarray(image)), expected)


def test_image_over_the_limit_goes_through_windows(
    model: SegmentationModel, labels: LabelSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segloom.images.windows.FALLBACK_WINDOW", 64)
    whole = Predictor(model, labels, InferenceConfig(device="cpu"))
    tiled = Predictor(model, labels, InferenceConfig(device="cpu"), whole_limit=100 * 100)
    seen: list[tuple[int, ...]] = []
    logits = tiled.graph.logits
    monkeypatch.setattr(
        tiled.graph, "logits", lambda image: (seen.append(tuple(image.shape)), logits(image))[1]
    )
    np.testing.assert_array_equal(
        tiled.label_map(picture(100, 100)), whole.label_map(picture(100, 100))
    )
    assert not seen
    assert tiled.label_map(picture(101, 100)).shape == (101, 100)
    assert set(seen) == {(1, 3, 64, 64)}


def test_many_classes_and_a_wide_image_take_a_smaller_window() -> None:
    assert fallback_window(4096, 5) == (1024, 1024)
    assert fallback_window(100_000, 5) == (512, 512)
    assert fallback_window(10_000_000, 5) == (256, 256)


def test_full_gpu_goes_on_in_windows(
    model: SegmentationModel, labels: LabelSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segloom.images.windows.FALLBACK_WINDOW", 64)
    predictor = Predictor(model, labels, InferenceConfig(device="cpu"))
    image = picture(100, 90)
    logits = predictor.graph._scores

    def scores(pixels: torch.Tensor) -> torch.Tensor:
        if pixels.shape[-1] > 64:
            raise torch.OutOfMemoryError("full")
        return logits(pixels)

    monkeypatch.setattr(predictor.graph, "_scores", scores)
    label_map = predictor.label_map(image)
    np.testing.assert_array_equal(label_map, predictor.probabilities(image).argmax(0))


def test_saved_network_is_loaded_with_its_labels(
    tmp_path: Path, model: SegmentationModel, labels: LabelSet, predictor: Predictor
) -> None:
    save_pretrained(model, tmp_path / "run" / "checkpoints" / "best", labels)
    for path in (tmp_path / "run", tmp_path / "run" / "checkpoints" / "best"):
        loaded = Predictor.from_path(path, InferenceConfig(device="cpu"))
        assert loaded.labels == labels
        np.testing.assert_array_equal(
            loaded.label_map(picture(40, 40)), predictor.label_map(picture(40, 40))
        )


def test_network_without_labels_gets_numbered_ones(
    tmp_path: Path, model: SegmentationModel
) -> None:
    save_pretrained(model, tmp_path, None)
    labels = Predictor.from_path(tmp_path, InferenceConfig(device="cpu")).labels
    assert labels.classes == ("class_0", "class_1", "class_2", "class_3", "class_4")


def test_missing_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="empty"):
        Predictor.from_path(tmp_path / "empty")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 of shape \(4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "float32 of shape"),
        (np.zeros((0, 4, 3), np.uint8), r"of shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), "takes 3 channels; this image has 4"),
    ],
)
def test_other_arrays_are_refused(predictor: Predictor, image: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictor.label_map(image)
    with pytest.raises(DataError, match=message):
        predictor.probabilities(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (0, 64)}, r"inference\.window is \(0, 64\)"),
        ({"scales": ()}, r"inference\.scales is \(\)"),
        ({"scales": (1.0, -0.5)}, r"inference\.scales is \(1\.0, -0\.5\)"),
    ],
)
def test_impossible_options_are_refused(
    model: SegmentationModel, labels: LabelSet, options: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Predictor(
            model, labels, InferenceConfig.model_construct(**{**dict(InferenceConfig()), **options})
        )


def test_labels_of_another_network_are_refused(model: SegmentationModel) -> None:
    with pytest.raises(ConfigError, match="has 5 classes but the labels name 1"):
        Predictor(model, LabelSet(("a",), ((0, 0, 0),)))


@pytest.mark.parametrize("architecture", ["linknet", "dpt"])
def test_bfloat16_answers_are_near(
    architecture: str,
    make_model: Callable[..., SegmentationModel],
    labels: LabelSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("segloom.inference.optimize.bfloat16_is_fast", lambda: True)
    model = make_model(architecture, small_encoder(architecture))
    exact = Predictor(model, labels, InferenceConfig(device="cpu"))
    fast = Predictor(model, labels, InferenceConfig(device="cpu", precision="bf16"))
    image = picture(96, 96)
    assert np.abs(exact.probabilities(image) - fast.probabilities(image)).max() < 0.25
    assert (exact.label_map(image) == fast.label_map(image)).mean() > 0.9


@pytest.mark.parametrize("enhancements", [["afma"], ["celt"]])
def test_bfloat16_takes_enhancements(
    enhancements: list[str],
    make_model: Callable[..., SegmentationModel],
    labels: LabelSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("segloom.inference.optimize.bfloat16_is_fast", lambda: True)
    model = make_model("unet", "tu-test_resnet", enhancements=enhancements)
    exact = Predictor(model, labels, InferenceConfig(device="cpu"))
    fast = Predictor(model, labels, InferenceConfig(device="cpu", precision="bf16"))
    image = picture(64, 96)
    assert (exact.label_map(image) == fast.label_map(image)).mean() > 0.9
