"""The truth of loose images: found by name, read in any kind, compared pixel by pixel."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig, InferenceConfig
from segloom.config.load import read_config
from segloom.data.sets.cityscapes import CITYSCAPES
from segloom.data.sets.cityscapes_labels import LABELS
from segloom.data.sets.dlse_classes import DLSE_CLASSES
from segloom.data.tools.write_lists import write_lists
from segloom.errors import ConfigError, DataError
from segloom.images.read import read_image
from segloom.inference import Predictor
from segloom.labels.pictures import ERROR_LEGEND, write_label_png
from segloom.models import SegmentationModel
from segloom.prediction.files import predict_files
from segloom.prediction.options import DEFAULT_OUTPUTS, PredictionOptions
from segloom.prediction.truth import find_truth
from segloom.types import LabelSet

IDS = np.repeat(np.array([0, 1, 2, 3, 4, 255, 9, 4], np.uint8)[:, None], 6, axis=1)  # (8, 6)


def save(folder: Path, name: str, pixels: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    return save(tmp_path / "images", "a.png", pixels)


def read(image: Path, labels: LabelSet, data: DataConfig | None = None) -> np.ndarray:
    truth = find_truth(image.parents[1] / "maps", [image], labels, data)
    return truth.read(image, (8, 6))


def test_ids_beyond_the_classes_are_void(tmp_path: Path, image: Path, labels: LabelSet) -> None:
    save(tmp_path / "maps", "a.png", IDS)
    expected = np.where(IDS < 5, IDS, 255)
    np.testing.assert_array_equal(read(image, labels), expected)


def test_colours_outside_the_palette_are_void(
    tmp_path: Path, image: Path, labels: LabelSet
) -> None:
    colors = np.array([*labels.palette, (1, 2, 3)], np.uint8)
    save(tmp_path / "maps", "a_L.png", colors[np.minimum(IDS, 5)])
    expected = np.where(IDS < 5, IDS, 255)
    np.testing.assert_array_equal(read(image, labels), expected)


def test_label_maps_mean_what_they_meant_in_training(tmp_path: Path, image: Path) -> None:
    stored = np.repeat(np.array([7, 7, 26, 26, 26, 0, 0, 7], np.uint8)[:, None], 6, axis=1)
    save(tmp_path / "maps", "a.png", stored)
    for split in ("images", "masks"):
        folder = tmp_path / "data" / "train" / split
        folder.mkdir(parents=True)
        write_label_png(folder / "b.png", stored)
    data = DataConfig(
        root=tmp_path / "data",
        classes=("road", "car"),
        label_map={"7": 0, "26": 1, "0": 255},
    )
    labels = LabelSet(("road", "car"), ((128, 64, 128), (0, 0, 142)))
    expected = np.select([stored == 7, stored == 26], [0, 1], 255)
    np.testing.assert_array_equal(read(image, labels, data), expected)


def test_another_size_is_refused(tmp_path: Path, image: Path, labels: LabelSet) -> None:
    save(tmp_path / "maps", "a.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(DataError, match=r"a\.png is 6 x 4 pixels but its image .* is 6 x 8"):
        read(image, labels)


def test_label_maps_of_other_classes_are_refused(
    tmp_path: Path, image: Path, labels: LabelSet
) -> None:
    save(tmp_path / "maps", "a.png", np.full((8, 6), 77, np.uint8))
    with pytest.raises(DataError, match=r"a\.png holds no class of this network"):
        read(image, labels)


def test_volumes_have_no_truth_here(tmp_path: Path, labels: LabelSet) -> None:
    with pytest.raises(ConfigError, match=r"scan\.nii is a volume.*segloom eval"):
        find_truth(tmp_path, [tmp_path / "scan.nii"], labels, None)


@pytest.fixture
def streets(tmp_path: Path, cityscapes_tree: Callable[..., Path]) -> Path:
    return cityscapes_tree(tmp_path / "streets", {"val": ("ulm", "munster")})


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds", "color", "", "lists"])
def test_label_maps_of_cityscapes_mean_what_their_names_say(
    streets: Path, tmp_path: Path, kind: str
) -> None:
    endings, data = {}, None
    if kind == "lists":
        written = write_lists(DataConfig(name="cityscapes", root=streets), tmp_path / "lists")
        data, kind = read_config(written.options).data, "labelTrainIds"
    if kind:
        endings = {"image_ending": "_leftImg8bit", "truth_ending": f"_gtFine_{kind}"}
    images = sorted(streets.glob("leftImg8bit/val/*/*.png"))
    truth = find_truth(streets / "gtFine", images, CITYSCAPES, data, **endings)
    expected = [255 if label.train_id is None else label.train_id for label in LABELS]
    if kind == "color":
        expected[18] = 5  # a pole group has the colour of a pole
    for image in images:
        name = image.stem.removesuffix("_leftImg8bit")
        assert truth.files[image].name == f"{name}_gtFine_{kind or 'labelIds'}.png"
        assert truth.read(image, (34, 8))[:, 0].tolist() == expected


def test_the_users_own_meaning_of_label_ids_goes_first(streets: Path) -> None:
    own = {str(number): 0 if number == 7 else 255 for number in range(34)}
    data = DataConfig(name="cityscapes", root=streets, label_map=own)
    (image, *_) = streets.glob("leftImg8bit/val/ulm/*.png")
    truth = find_truth(streets / "gtFine", [image], CITYSCAPES, data)
    assert np.unique(truth.read(image, (34, 8))).tolist() == [0, 255]


def test_training_ids_are_no_truth_of_more_classes(streets: Path) -> None:
    images = sorted(streets.glob("leftImg8bit/val/*/*.png"))
    find_truth(streets / "gtFine", images, DLSE_CLASSES, None)
    endings = {"image_ending": "_leftImg8bit", "truth_ending": "_gtFine_labelTrainIds"}
    with pytest.raises(DataError, match=r"training ids.*--truth-ending _gtFine_labelIds"):
        find_truth(streets / "gtFine", images, DLSE_CLASSES, None, **endings)


def test_the_endings_of_the_trained_folder_are_tried_first(
    tmp_path: Path, image: Path, labels: LabelSet
) -> None:
    photograph = image.rename(image.with_name("a_rgb.png"))
    save(tmp_path / "maps", "a_gt.png", IDS)
    save(tmp_path / "maps", "a_gt_color.png", np.zeros((8, 6, 3), np.uint8))
    data = DataConfig(image_ending="_rgb", mask_ending="_gt")
    truth = find_truth(tmp_path / "maps", [photograph], labels, data)
    assert truth.files[photograph].name == "a_gt.png"
    words = r"has no label map of its name.*give --image-ending and --truth-ending\)\.$"
    with pytest.raises(DataError, match=words):
        find_truth(tmp_path / "maps", [photograph], labels, None)


def test_errors_and_montage_show_the_truth(
    tmp_path: Path, image: Path, labels: LabelSet, model: SegmentationModel
) -> None:
    save(tmp_path / "maps", "a.png", IDS)
    truth = find_truth(tmp_path / "maps", [image], labels, None)
    predictor = Predictor(model, labels, InferenceConfig(device="cpu"))
    options = PredictionOptions(outputs=DEFAULT_OUTPUTS | {"montage"})
    (plain,) = predict_files(predictor, [image], tmp_path / "plain", options)
    options = replace(options, truth=truth)
    (result,) = predict_files(predictor, [image], tmp_path / "out", options)
    assert set(result.written) - set(plain.written) == {"errors"}
    predicted = predictor.label_map(read_image(image))
    counted = IDS < 5
    assert result.void == pytest.approx(2 / 8)
    assert result.accuracy == pytest.approx((predicted == IDS)[counted].mean())
    drawn = read_image(result.written["errors"])
    assert (drawn[~counted] == 0).all()
    colors = np.array([color for _, color in ERROR_LEGEND])
    np.testing.assert_array_equal(drawn[counted], colors[(predicted != IDS)[counted].astype(int)])
    widths = [read_image(r.written["montage"]).shape[1] for r in (plain, result)]
    assert widths[1] > widths[0]  # four panels instead of three


def test_a_changed_truth_is_drawn_again(
    tmp_path: Path, image: Path, labels: LabelSet, model: SegmentationModel
) -> None:
    path = save(tmp_path / "maps", "a.png", IDS)
    truth = find_truth(tmp_path / "maps", [image], labels, None)
    predictor = Predictor(model, labels, InferenceConfig(device="cpu"))
    out = tmp_path / "out"
    options = PredictionOptions(truth=truth, skip_existing=True)
    list(predict_files(predictor, [image], out, options))
    (again,) = predict_files(predictor, [image], out, options)
    assert again.skipped
    os.utime(path, (4e9, 4e9))
    (changed,) = predict_files(predictor, [image], out, options)
    assert not changed.skipped
