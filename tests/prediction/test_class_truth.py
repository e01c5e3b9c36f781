"""The truth of classes that may overlap: a mask per class, read as in training and drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.class_masks import CLASSES, save, write_split

from segloom.config import DataConfig, InferenceConfig
from segloom.errors import ConfigError, DataError
from segloom.images.read import read_image
from segloom.inference import Predictor
from segloom.labels.painting import comparison
from segloom.labels.pictures import error_map
from segloom.models import SegmentationModel
from segloom.prediction.files import predict_files
from segloom.prediction.options import DEFAULT_OUTPUTS, PredictionOptions
from segloom.prediction.truth import find_truth
from segloom.types import LabelSet

OVERLAPPING = LabelSet(CLASSES, ((200, 80, 0), (0, 120, 200)), is_multilabel=True)


@pytest.fixture
def split(tmp_path: Path) -> tuple[Path, list[Path], dict[str, np.ndarray]]:
    """Folder of masks, images, and the bits of the truth by stem."""
    truth = write_split(tmp_path, "test", 3)
    bits = {stem: (bar + 2 * disc).astype(np.uint8) for stem, (bar, disc) in truth.items()}
    images = sorted((tmp_path / "test/images").iterdir())
    return tmp_path / "test/masks", images, bits


def test_masks_are_read_as_bits_and_a_missing_one_is_nothing_of_its_class(split) -> None:
    masks, images, bits = split
    assert not (masks / "bar/p2.png").exists()
    truth = find_truth(masks, images, OVERLAPPING, None)
    for image in images:
        expected = bits[image.stem]
        np.testing.assert_array_equal(truth.read(image, expected.shape), expected)
    alone = find_truth(masks, images[2:], OVERLAPPING, None)
    np.testing.assert_array_equal(alone.read(images[2], bits["p2"].shape), bits["p2"])


def test_values_that_were_void_in_training_are_void(split) -> None:
    masks, images, bits = split
    expected = bits["p0"].copy()
    stored = ((expected >> 1) * 255).astype(np.uint8)
    stored[:4] = 128
    expected[:4] = 255
    save(masks / "disc/p0.png", stored)
    data = DataConfig(mask_format="multilabel", ignore_values=(128,))
    truth = find_truth(masks, images, OVERLAPPING, data)
    np.testing.assert_array_equal(truth.read(images[0], expected.shape), expected)
    with pytest.raises(DataError, match=r"p0\.png holds 128"):
        find_truth(masks, images, OVERLAPPING, None).read(images[0], expected.shape)


@pytest.mark.parametrize("is_trained", [True, False])
def test_ends_of_names_are_given_or_those_of_the_trained_data(split, is_trained: bool) -> None:
    masks, images, bits = split
    for mask in masks.glob("*/*.png"):
        mask.rename(mask.with_name(f"{mask.stem}_gt.png"))
    images = [image.rename(image.with_name(f"{image.stem}_rgb.png")) for image in images]
    data = DataConfig(mask_format="multilabel", image_ending="_rgb", mask_ending="_gt")
    given = {} if is_trained else {"image_ending": "_rgb", "truth_ending": "_gt"}
    truth = find_truth(masks, images, OVERLAPPING, data if is_trained else None, **given)
    np.testing.assert_array_equal(truth.read(images[0], bits["p0"].shape), bits["p0"])
    words = r"p0_rgb\.png has no mask.*give --image-ending and --truth-ending"
    with pytest.raises(DataError, match=words):
        find_truth(masks, images, OVERLAPPING, None)


def test_what_is_missing_or_of_another_size_is_one_sentence(split) -> None:
    masks, images, bits = split
    (masks / "disc/p2.png").unlink()
    with pytest.raises(DataError, match=r"p2\.png has no mask.*such as .*bar/p2\.png"):
        find_truth(masks, images, OVERLAPPING, None)
    save(masks / "disc/p1.png", np.zeros((4, 6), np.uint8))
    truth = find_truth(masks, images[:2], OVERLAPPING, None)
    with pytest.raises(DataError, match=r"disc/p1\.png is 6 x 4 pixels but its image .*p1\.png"):
        truth.read(images[1], bits["p1"].shape)
    save(masks / "disc/deeper/p0.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(DataError, match=r"p0\.png has 2 masks in .*disc"):
        find_truth(masks, images[:1], OVERLAPPING, None)
    (masks / "disc").rename(masks / "dics")
    with pytest.raises(DataError, match=r"there is no folder .*disc for the class 'disc'"):
        find_truth(masks, images, OVERLAPPING, None)
    with pytest.raises(DataError, match=r"nowhere is not a folder; give the one of the masks"):
        find_truth(masks / "nowhere", images, OVERLAPPING, None)
    with pytest.raises(ConfigError, match="is a volume"):
        find_truth(masks, [masks / "scan.nii"], OVERLAPPING, None)


def test_errors_and_montage_are_drawn_as_an_evaluation_draws_them(
    split, tmp_path: Path, make_model: Callable[..., SegmentationModel]
) -> None:
    masks, images, bits = split
    network = make_model("unet", "tu-test_resnet", classes=2, mode="multilabel")
    predictor = Predictor(network, OVERLAPPING, InferenceConfig(device="cpu"))
    truth = find_truth(masks, images, OVERLAPPING, None)
    options = PredictionOptions(outputs=DEFAULT_OUTPUTS | {"montage"}, truth=truth)
    results = predict_files(predictor, images, tmp_path / "out", options)
    for image, result in zip(images, results, strict=True):
        kinds = {"mask.bar", "mask.disc", "overlay", "errors", "montage"}
        assert result.error is None
        assert set(result.written) == kinds
        seen, expected = read_image(image), bits[image.stem]
        predicted = predictor.label_map(seen)
        drawn = read_image(result.written["errors"])
        np.testing.assert_array_equal(drawn, error_map(expected, predicted))
        drawn = read_image(result.written["montage"])
        np.testing.assert_array_equal(drawn, comparison(seen, expected, predicted, OVERLAPPING))
        assert result.accuracy == pytest.approx((predicted == expected).mean())
        assert result.void == 0
    with pytest.raises(ConfigError, match=r"masks is the folder of the truth.*--out"):
        predict_files(predictor, images, masks, PredictionOptions(truth=truth))
