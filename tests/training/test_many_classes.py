"""Twelve classes that overlap, more than a byte has bits, from files to results."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.class_masks import save

from segloom.config import EvalConfig
from segloom.config.load import read_config
from segloom.evaluation import evaluate
from segloom.inference import Predictor
from segloom.prediction.files import predict_files
from segloom.prediction.options import DEFAULT_OUTPUTS, PredictionOptions
from segloom.prediction.truth import find_truth
from segloom.report import write_report
from segloom.training import train

CLASSES = tuple(f"c{number:02}" for number in range(12))
QUICK = EvalConfig(
    split="val", bootstrap=20, size_limits=(60,), boundary_tolerances=(0.02,), predictions=True
)
VOID = 128


def write_split(root, split, number):
    """Columns of growing width over noise; every class overlaps all that are wider."""
    rng = np.random.default_rng(len(split))
    truth = {}
    for index in range(number):
        height, width = 32, 48
        column = np.arange(width)[None].repeat(height, axis=0)
        present = np.stack([column < 4 * (k + 1) for k in range(len(CLASSES))])
        image = (5 * column[..., None] + rng.integers(0, 9, (height, width, 3))).astype(np.uint8)
        save(root / split / "images" / f"p{index}.png", image)
        for name, mask in zip(CLASSES, present, strict=True):
            pixels = (255 * mask).astype(np.uint8)
            if name == "c03":
                pixels[:3] = VOID
            save(root / split / "masks" / name / f"p{index}.png", pixels)
        truth[f"p{index}"] = present
    return truth


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    root = tmp_path_factory.mktemp("columns")
    write_split(root, "train", 6)
    return root, write_split(root, "val", 2)


@pytest.fixture
def run(columns, tiny):
    root, _ = columns
    folder = root.parent / f"{root.name}-run"
    if not folder.exists():
        config = tiny(
            data__root=root,
            data__classes=(),
            data__mask_format="multilabel",
            data__ignore_values=(VOID,),
            data__augment={"scale": (0.8, 1.2), "rotate": 5, "flip": 0, "jitter": 0, "blur": 0},
            data__crop=(32, 48),
            loss__terms={"bce": 1.0, "dice": 0.5},
            loss__class_weights="log",
            train__epochs=6,
            train__out=folder,
        )
        train(config)
    return folder


def test_evaluation_equals_plain_sums_over_the_files(run, columns, tmp_path):
    result = evaluate(run, QUICK, out=tmp_path / "eval")
    assert result.metrics["classes"] == list(CLASSES)
    for k, name in enumerate(CLASSES):
        tables = np.zeros((2, 2), int)
        for stem, present in columns[1].items():
            predicted = np.array(Image.open(result.folder / "predictions" / name / f"{stem}.png"))
            pair = present[k][3:].ravel().astype(int), (predicted[3:].ravel() == 255).astype(int)
            np.add.at(tables, pair, 1)
        assert result.metrics["tables"][k] == tables.tolist()
    assert result.scores["mIoU"] > 0.5
    assert list((result.folder / "montage").glob("*.png"))
    evaluate(run, QUICK)
    assert "may overlap" in write_report(run, "val").read_text()


def test_prediction_writes_the_masks_that_the_probabilities_give(run, columns, tmp_path):
    root, truth = columns
    predictor = Predictor.from_path(run)
    files = sorted((root / "val/images").iterdir())
    data = read_config(run / "config.yaml").data
    expected = find_truth(root / "val/masks", files, predictor.labels, data)
    outputs = DEFAULT_OUTPUTS | {"montage", "probabilities"}
    options = PredictionOptions(outputs=outputs, truth=expected)
    results = list(predict_files(predictor, files, tmp_path / "out", options))
    for file, result in zip(files, results, strict=True):
        assert result.error is None
        values = predictor.probabilities(np.array(Image.open(file)))
        agreed = np.ones(values.shape[1:], bool)
        for k, name in enumerate(CLASSES):
            mask = np.array(Image.open(tmp_path / "out" / name / file.name)) == 255
            np.testing.assert_array_equal(mask, values[k] >= 0.5)
            assert result.shares.get(name, 0) == pytest.approx(mask.mean(), abs=1e-5)
            agreed &= mask == truth[file.stem][k]
        assert result.accuracy == pytest.approx(agreed[3:].mean())
        assert result.void == pytest.approx(3 / 32)


def test_views_in_windows_give_the_same_kind_of_map(run, columns):
    config = QUICK.inference.model_copy(update={"flip": True, "window": (32, 32)})
    image = np.array(Image.open(columns[0] / "val/images/p0.png"))
    predictor = Predictor.from_path(run, config)
    labels = predictor.label_map(image)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, predictor.space.decide(predictor.probabilities(image)))
