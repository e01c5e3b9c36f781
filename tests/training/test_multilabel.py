"""Classes that overlap from image files to a report, through training and prediction."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image
from support.class_masks import CLASSES, write_split

from segloom import from_pretrained
from segloom.cli.main import main
from segloom.config import DataConfig, EvalConfig, ModelConfig
from segloom.errors import ConfigError
from segloom.evaluation import evaluate
from segloom.evaluation.journal import read_counts
from segloom.inference import Predictor
from segloom.models.build import build_model
from segloom.prediction.files import predict_files
from segloom.prediction.options import DEFAULT_OUTPUTS, PredictionOptions
from segloom.report import write_report
from segloom.training import train

QUICK = EvalConfig(
    split="val", bootstrap=30, size_limits=(60,), boundary_tolerances=(0.02,), montages=1
)


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory):
    root = tmp_path_factory.mktemp("overlapping")
    truth = {split: write_split(root, split, n) for split, n in (("train", 9), ("val", 3))}
    return root, truth


@pytest.fixture
def shared_run(overlapping, tiny, request):
    """One run for all tests of this file; they write their results elsewhere."""
    root, _ = overlapping
    run = root.parent / f"{root.name}-run"
    options = {
        "data__root": root,
        "data__classes": (),
        "data__mask_format": "multilabel",
        "data__augment": {"scale": (1, 1), "jitter": 0, "blur": 0},
        "loss__terms": {"bce": 1.0, "dice": 1.0},
        "train__out": run,
    }
    if not run.exists():
        train(tiny(**options, train__epochs=12, loss__class_weights="log"))
    return run


@pytest.fixture
def measured(shared_run, tmp_path):
    config = QUICK.model_copy(update={"predictions": True})
    return evaluate(shared_run, config, out=tmp_path / "eval")


def test_training_lowers_the_loss_and_finds_both_classes(shared_run):
    lines = (shared_run / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[-1]["train/total"] < 0.5 * rows[0]["train/total"]
    assert rows[-1]["val/mIoU"] > 0.6
    assert rows[-1]["val/aAcc"] > 0.9


def test_evaluation_equals_plain_sums_over_the_files(measured, overlapping, shared_run):
    _, truth = overlapping
    metrics = measured.metrics
    assert metrics["classes"] == list(CLASSES)
    assert metrics["mode"] == "multilabel"
    assert "confusion" not in metrics
    overlap = 0
    for k, name in enumerate(CLASSES):
        tables = np.zeros((2, 2), int)
        dices = []
        for stem, present in truth["val"].items():
            file = measured.folder / "predictions" / name / f"{stem}.png"
            written = np.array(Image.open(file))
            assert set(np.unique(written).tolist()) <= {0, 255}
            predicted, there = written == 255, present[k]
            np.add.at(tables, (there.ravel().astype(int), predicted.ravel().astype(int)), 1)
            size = there.sum() + predicted.sum()
            dices.append(2 * (there & predicted).sum() / size if size else 1.0)
            overlap += (present.all(axis=0) & predicted).sum()
        (tn, fp), (fn, tp) = tables.tolist()
        assert metrics["tables"][k] == [[tn, fp], [fn, tp]]
        row = metrics["per_class"][k]
        assert row["IoU"] == pytest.approx(tp / (tp + fp + fn))
        assert row["Dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
        assert row["precision"] == pytest.approx(tp / (tp + fp))
        assert row["accuracy"] == pytest.approx(tp / (tp + fn))
        region = metrics["regions"]["regions"][k]
        assert region["name"] == name
        assert region["mean"]["Dice"] == pytest.approx(np.mean(dices))
        assert region["whole"]["specificity"] == pytest.approx(tn / (tn + fp))
    assert overlap > 0  # both classes are found where they cross
    mean = np.mean([row["IoU"] for row in metrics["per_class"]])
    assert measured.scores["mIoU"] == pytest.approx(mean)
    assert set(measured.scores) == {"mIoU", "aAcc", "mAcc", "mDice"}
    low, high = measured.interval("IoU.disc")
    assert low <= metrics["per_class"][1]["IoU"] <= high


def test_counts_of_the_images_add_and_give_the_same_sums(measured):
    images = read_counts(measured.folder / "counts.jsonl", 2, QUICK)
    assert [image.id for image in images] == ["p0", "p1", "p2"]
    assert all(image.is_multilabel for image in images)
    total = np.sum([image.confusion for image in images], axis=0)
    assert total.tolist() == measured.metrics["tables"]
    with (measured.folder / "tables.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["TP"]) for row in rows] == total[:, 1, 1].tolist()
    assert not (measured.folder / "confusion.csv").exists()
    objects = [row["num_objects"] for row in measured.metrics["size"]["buckets"][1]["per_class"]]
    assert objects == [2, 3]  # one bar is missing; a disc is not cut up by the bar over it
    assert (measured.folder / "montage" / "best_01.png").is_file()


def test_the_report_shows_recall_and_no_confusion(shared_run):
    evaluate(shared_run, QUICK)
    page = write_report(shared_run, "val").read_text()
    assert "Recall</th>" in page
    assert "may overlap" in page
    assert 'id="confusion"' not in page
    assert "right answers" in page
    assert "Accuracy</th>" not in page


def test_an_interrupted_evaluation_goes_on(shared_run, tmp_path, measured):
    def stop(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        evaluate(shared_run, QUICK, out=out, on_progress=stop)
    seen = []
    again = evaluate(shared_run, QUICK, out=out, on_progress=lambda p: seen.append(p.measured))
    assert seen == [0, 1]
    assert again.metrics["tables"] == measured.metrics["tables"]
    assert again.metrics["intervals"] == measured.metrics["intervals"]


def test_prediction_writes_a_mask_per_class_in_the_layout_of_the_data(
    shared_run, overlapping, tmp_path
):
    root, _ = overlapping
    predictor = Predictor.from_path(shared_run)
    files = sorted((root / "val/images").iterdir())
    out = tmp_path / "val/masks"
    options = PredictionOptions(outputs=DEFAULT_OUTPUTS | {"montage", "probabilities"})
    results = list(predict_files(predictor, files, out, options))
    found: dict[int, list[np.ndarray]] = {1: [], 2: [], 3: []}
    for file, result in zip(files, results, strict=True):
        image = np.array(Image.open(file))
        probabilities = predictor.probabilities(image)
        labels = predictor.label_map(image)
        for k, name in enumerate(CLASSES):
            mask = np.array(Image.open(out / name / file.name))
            np.testing.assert_array_equal(mask, 255 * (probabilities[k] >= 0.5))
            np.testing.assert_array_equal(mask > 0, labels >> k & 1)
            assert result.shares.get(name, 0) == pytest.approx((mask > 0).mean(), abs=1e-5)
        kinds = {"mask.bar", "mask.disc", "overlay", "montage", "probabilities"}
        assert set(result.written) == kinds
        tinted = np.array(Image.open(result.written["overlay"]))
        np.testing.assert_array_equal(tinted[labels == 0], image[labels == 0])
        assert (tinted[labels > 0] != image[labels > 0]).any(axis=1).mean() > 0.9
        for value, pixels in found.items():
            pixels.append(tinted[labels == value])
    bar, disc, both = (np.concatenate(pixels).mean(axis=0) for pixels in found.values())
    assert min(np.abs(both - bar).max(), np.abs(both - disc).max()) > 5
    # What was written is a data set of its own.
    for file in files:
        image = tmp_path / "val/images" / file.name
        image.parent.mkdir(exist_ok=True)
        image.write_bytes(file.read_bytes())
    data = DataConfig(root=tmp_path, mask_format="multilabel", cache=False, classes=CLASSES)
    scores = evaluate(shared_run, QUICK, data, out=tmp_path / "eval").scores
    assert scores["mIoU"] == 1
    with pytest.raises(ConfigError, match="ask for one of label, overlay, errors, montage"):
        predict_files(predictor, files, out, PredictionOptions(outputs=frozenset({"palette"})))


def test_views_and_windows_average_sigmoids(shared_run, overlapping):
    image = np.array(Image.open(overlapping[0] / "val/images/p0.png"))
    plain = Predictor.from_path(shared_run)
    config = QUICK.inference.model_copy(update={"flip": True})
    flipped = Predictor.from_path(shared_run, config)
    both = [
        plain.probabilities(view)[..., ::step] for view, step in ((image, 1), (image[:, ::-1], -1))
    ]
    np.testing.assert_allclose(flipped.probabilities(image), np.mean(both, axis=0), atol=1e-4)
    expected = flipped.probabilities(image) >= 0.5
    for k in range(2):
        np.testing.assert_array_equal(flipped.label_map(image) >> k & 1, expected[k])
    windowed = Predictor.from_path(
        shared_run, QUICK.inference.model_copy(update={"window": (32, 32)})
    )
    agreed = windowed.label_map(image) == plain.label_map(image)
    assert agreed.mean() > 0.8


def test_commands_work_and_results_are_no_images_of_the_next_call(
    shared_run, overlapping, tmp_path, capsys
):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.png").write_bytes((overlapping[0] / "val/images/p0.png").read_bytes())
    words = ["predict", str(shared_run), str(folder), "--out", str(folder), "--json"]
    for _ in "first", "again":
        assert main(words) == 0
        answer = json.loads(capsys.readouterr().out)
        assert [entry["image"] for entry in answer["files"]] == [str(folder / "a.png")]
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert names == {"a.png", "bar/a.png", "disc/a.png", "a_overlay.png"}
    assert main(["eval", str(shared_run), "--split", "val", "--bootstrap", "0"]) == 0
    printed = capsys.readouterr().out
    assert "recall" in printed
    assert "Classes may overlap" in printed


def test_a_saved_network_keeps_its_mode(shared_run):
    model = from_pretrained(shared_run)
    assert model.mode == "multilabel"
    directory = shared_run / "checkpoints" / "best"
    config = json.loads((directory / "config.json").read_text())
    assert "mode" not in config  # SMP would refuse it
    assert config["_segloom"]["mode"] == "multilabel"
    assert config["_segloom"]["version"] == 2  # earlier programs must not take it for multiclass
    assert "may overlap" in (directory / "README.md").read_text()
    assert Predictor.from_path(shared_run).labels.is_multilabel


def test_data_of_another_mode_is_refused(shared_run, squares, tiny):
    wrong = DataConfig(root=squares / "data", classes=CLASSES, cache=False)
    with pytest.raises(ConfigError, match="trained for classes that may overlap, but the data's"):
        evaluate(shared_run, QUICK, wrong)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"loss__terms": {"cross_entropy": 1.0}}, "loss cross_entropy needs classes that exclude"),
        ({"loss__terms": {"bce": 1.0, "ohem": 1.0}}, "loss ohem needs classes that exclude"),
        (
            {"model__mode": "multiclass"},
            r"model\.mode is multiclass, but the data has classes that",
        ),
        (
            {"model__mode": "binary"},
            r"model\.mode is binary, but the data has classes that overlap",
        ),
        ({"model__enhancements": ("afma",)}, "enhancement afma needs classes that exclude"),
        ({"model__classes": 3}, r"model\.classes is 3 but the data has 2"),
    ],
)
def test_options_that_contradict_are_refused(overlapping, tiny, options, sentence):
    values = {"loss__terms": {"bce": 1.0}, **options}
    config = tiny(
        data__root=overlapping[0], data__classes=(), data__mask_format="multilabel", **values
    )
    with pytest.raises(ConfigError, match=sentence):
        train(config)


def test_one_class_may_stand_alone(overlapping, tiny):
    config = tiny(
        data__root=overlapping[0],
        data__classes=("disc",),
        data__mask_format="multilabel",
        loss__terms={"bce": 1.0},
        model__enhancements=("dlinknet",),
        train__epochs=1,
        train__steps_per_epoch=2,
    )
    assert math.isfinite(train(config).miou)
    image = np.zeros((20, 30, 3), np.uint8)
    predictor = Predictor.from_path(config.train.out)
    assert predictor.probabilities(image).shape == (1, 20, 30)
    metrics = evaluate(config.train.out, QUICK).metrics
    assert len(metrics["tables"]) == 1


BINARY = ModelConfig(architecture="fpn", encoder_name="tu-test_resnet", mode="binary")


def test_mode_binary_is_one_logit_for_two_classes():
    assert build_model(BINARY, 2).shape.num_classes == 1
    same = BINARY.model_copy(update={"classes": 1})
    assert build_model(same, 2).mode == "binary"
    with pytest.raises(ConfigError, match=r"mode binary is one logit.*but the data has 3"):
        build_model(BINARY, 3)
    with pytest.raises(ConfigError, match=r"binary is one logit.*but model\.classes is 2"):
        build_model(BINARY.model_copy(update={"classes": 2}), 2)
    with pytest.raises(ConfigError, match="enhancement afma needs a channel per class"):
        build_model(BINARY.model_copy(update={"enhancements": ("afma",)}), 2)
    several = BINARY.model_copy(update={"mode": "multiclass"})
    assert build_model(several, 2).shape.num_classes == 2
    with pytest.raises(ConfigError, match=r"multiclass but model\.classes is 1, a single logit"):
        build_model(several.model_copy(update={"classes": 1}), 2)
    with pytest.raises(ConfigError, match="hold one class per pixel; give each class a folder"):
        build_model(BINARY.model_copy(update={"mode": "multilabel"}), 2)
