"""`evaluate`: its numbers against plain sums, its files, interruption and refusals."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix
from support.coco import draw_coco

from segloom.config import DataConfig, EvalConfig
from segloom.errors import CheckpointError, ConfigError, DataError
from segloom.evaluation import Progress, evaluate
from segloom.files import hold_lock
from segloom.report.read import Metrics
from segloom.types import LabelSet

QUICK = EvalConfig(bootstrap=20, size_limits=(60, 200), montages=2)


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def result(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return evaluate(trained, QUICK.model_copy(update={"predictions": True}), out=out)


def test_matrix_is_that_of_the_predictions_at_the_size_of_the_files(result, trained, data_config):
    from segloom.inference import Predictor

    predictor = Predictor.from_path(trained, QUICK.inference)
    expected = np.zeros((3, 3), np.int64)
    for path in sorted((data_config.root / "test" / "images").iterdir()):
        truth = np.asarray(Image.open(data_config.root / "test" / "masks" / path.name))
        predicted = predictor.label_map(np.asarray(Image.open(path)))
        assert predicted.shape == truth.shape
        np.testing.assert_array_equal(
            np.asarray(Image.open(result.folder / "predictions" / path.name)), predicted
        )
        known = truth != 255
        expected += confusion_matrix(truth[known], predicted[known], labels=range(3))
    assert result.metrics["confusion"] == expected.tolist()
    assert result.scores["aAcc"] == np.trace(expected) / expected.sum()


def test_a_second_evaluation_into_one_folder_is_refused(trained, tmp_path):
    with (
        hold_lock(tmp_path / "out" / ".lock", "taken."),
        pytest.raises(ConfigError, match=r"another evaluation is writing to .*out"),
    ):
        evaluate(trained, QUICK, out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


def test_metrics_file_is_what_the_report_reads(result):
    content = (result.folder / "metrics.json").read_text()
    assert json.loads(content) == result.metrics
    metrics = Metrics.model_validate_json(content)
    assert metrics.version == 1
    assert metrics.num_images == 5
    assert metrics.model.architecture == "unet"
    assert metrics.model.num_parameters > 0
    assert metrics.interval("mIoU")[0] <= metrics.scores["mIoU"] <= metrics.interval("mIoU")[1]
    assert metrics.interval("IoU.sky") is not None
    assert result.interval("mIoU") == metrics.interval("mIoU")
    assert result.interval("IoU.nothing") is None
    assert [bucket.name for bucket in metrics.size.buckets] == ["< 60 px", "60-199 px", ">= 200 px"]
    assert sum(bucket.num_objects for bucket in metrics.size.buckets) == 15
    assert [tolerance.pixels for tolerance in metrics.boundary.tolerances] == [1, 1]
    assert "bIoU@0.02" in metrics.intervals
    assert "Void pixels" in metrics.policy


def test_tables_hold_the_same_numbers(result):
    per_image = read_csv(result.folder / "per_image.csv")
    assert [row["id"] for row in per_image] == [f"scene{index}" for index in range(5)]
    assert set(per_image[0]) == {"id", "mIoU", "aAcc", "IoU.ground", "IoU.thing", "IoU.sky"}
    confusion = read_csv(result.folder / "confusion.csv")
    rows = [[int(row[name]) for name in ("ground", "thing", "sky")] for row in confusion]
    assert rows == result.metrics["confusion"]
    size = read_csv(result.folder / "size.csv")
    assert len(size) == 3 * 4
    assert float(size[8]["IoU"]) == result.metrics["size"]["buckets"][2]["IoU"]
    assert size[8]["class"] == "all"
    boundary = read_csv(result.folder / "boundary.csv")
    assert len(boundary) == 2 * 4
    assert float(boundary[4]["bF"]) == result.metrics["boundary"]["tolerances"][1]["bF"]


def test_montages_are_the_extremes_and_exist(result):
    montages = result.metrics["montages"]
    per_image = {row["id"]: float(row["mIoU"]) for row in read_csv(result.folder / "per_image.csv")}
    ranked = sorted(per_image, key=lambda name: -per_image[name])
    assert [entry["id"] for entry in montages["best"]] == ranked[:2]
    assert [entry["id"] for entry in montages["worst"]] == ranked[::-1][:2]
    for entry in (*montages["best"], *montages["worst"]):
        assert entry["mIoU"] == per_image[entry["id"]]
        with Image.open(result.folder / entry["file"]) as picture:
            assert picture.width > 4 * 160


def test_interrupted_evaluation_goes_on_and_ends_the_same(trained, tmp_path, result):
    config = QUICK.model_copy(update={"predictions": True})
    evaluate(trained, QUICK.model_copy(update={"montages": 1}), out=tmp_path)
    before = files_of(tmp_path)

    def stop(progress: Progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(trained, config, out=tmp_path, on_progress=stop)
    after = files_of(tmp_path)
    assert {path: after[path] for path in before} == before

    seen = []
    evaluate(trained, config, out=tmp_path, on_progress=seen.append)
    assert [(state.done, state.measured) for state in seen] == [(3, 0), (4, 1), (5, 2)]
    assert seen[0].remaining_seconds is None
    assert seen[1].remaining_seconds == seen[1].seconds
    assert files_of(tmp_path) == files_of(result.folder)


def test_other_options_do_not_go_on_from_the_journal(trained, tmp_path):
    def stop(progress: Progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(trained, QUICK, out=tmp_path, on_progress=lambda p: p.done == 2 and stop(p))
    flipped = QUICK.model_copy(
        update={"inference": QUICK.inference.model_copy(update={"flip": True})}
    )
    seen = []
    evaluate(trained, flipped, out=tmp_path, on_progress=seen.append)
    assert seen[0].done == 0
    assert [path.name for path in tmp_path.glob(".*")] == [".lock"]


def test_second_evaluation_replaces_what_the_first_left(trained, tmp_path):
    evaluate(trained, QUICK, out=tmp_path)
    bare = QUICK.model_copy(
        update={"montages": 0, "size_limits": (), "boundary_tolerances": (), "bootstrap": 0}
    )
    metrics = evaluate(trained, bare, out=tmp_path).metrics
    assert metrics["size"] is None
    assert metrics["boundary"] is None
    assert metrics["intervals"] == {}
    assert metrics["montages"] == {"best": [], "worst": []}
    names = {str(path) for path in files_of(tmp_path)}
    assert names - {".lock"} == {"metrics.json", "counts.jsonl", "per_image.csv", "confusion.csv"}


def test_result_lies_in_the_run_by_default(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    assert evaluate(run, QUICK).folder == run / "eval" / "test"
    assert (run / "eval" / "test" / "metrics.json").is_file()


def test_model_directory_needs_data(trained, data_config, tmp_path):
    directory = trained / "checkpoints" / "best"
    with pytest.raises(ConfigError, match=r"name the data, for example --data\.name camvid"):
        evaluate(directory, QUICK, out=tmp_path)
    evaluation = evaluate(directory, QUICK, data_config, tmp_path)
    assert evaluation.metrics["model"]["enhancements"] == []


def test_data_with_other_classes_is_refused(trained, data_config, tmp_path):
    other = data_config.model_copy(update={"classes": ("ground", "thing", "water")})
    with pytest.raises(ConfigError, match="was trained on the classes ground, thing, sky, but"):
        evaluate(trained, QUICK, other, tmp_path)


def test_the_way_to_other_classes_is_told(trained, data_config, tmp_path):
    order = {"classes": ("thing", "ground", "sky")}
    with pytest.raises(ConfigError, match=r"data\.label_map .*data\.classes alone only renames"):
        evaluate(trained, QUICK, data_config.model_copy(update=order), tmp_path)


def test_the_order_of_cocos_classes_is_told(tmp_path):
    from segloom.models import create_model
    from segloom.models.weights.checkpoint import save_pretrained

    model = create_model("unet", encoder_name="tu-test_resnet", classes=2)
    labels = LabelSet(("road", "background"), ((0, 0, 0), (1, 1, 1)))
    save_pretrained(model, tmp_path / "model", labels=labels)
    image, mask = np.zeros((32, 32, 3), np.uint8), np.eye(32, dtype=np.uint8)
    draw_coco(tmp_path / "coco", "val", 1, image, mask)
    data = DataConfig(name="coco", root=tmp_path / "coco", cache=False)
    config = QUICK.model_copy(update={"split": "val"})
    with pytest.raises(ConfigError, match=r"put them in order with --data\.classes road backgr"):
        evaluate(tmp_path / "model", config, data, tmp_path / "out")
    ordered = data.model_copy(update={"classes": labels.classes})
    metrics = evaluate(tmp_path / "model", config, ordered, tmp_path / "out").metrics
    assert metrics["classes"] == ["road", "background"]


def test_unlabelled_network_with_another_number_of_classes_is_refused(data_config, tmp_path):
    from segloom.models import create_model
    from segloom.models.weights.checkpoint import save_pretrained

    model = create_model("unet", encoder_name="tu-test_resnet", classes=2)
    save_pretrained(model, tmp_path / "model")
    with pytest.raises(ConfigError, match="has 2 classes, but the data has 3"):
        evaluate(tmp_path / "model", QUICK, data_config, tmp_path / "out")


def test_folder_without_a_network_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="neither a run nor a model directory"):
        evaluate(tmp_path, QUICK)


def test_label_maps_that_are_void_throughout_are_refused(trained, data_config, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(data_config.root, root)
    void = data_config.model_copy(update={"root": root})
    masks = sorted((root / "test/masks").iterdir())
    for path in masks:
        with Image.open(path) as labels:
            shape = labels.size[::-1]
        Image.fromarray(np.full(shape, 255, np.uint8)).save(path)
    with pytest.raises(
        DataError,
        match=r"masks/scene0\.png and all .* split test .*\(--split val\), or check",
    ):
        evaluate(trained, QUICK, void, tmp_path / "out")
    assert not (tmp_path / "out").exists()

    labels = np.full(shape, 255, np.uint8)
    labels[0, 0] = 2
    Image.fromarray(labels).save(masks[-1])  # one pixel can be measured
    assert evaluate(trained, QUICK, void, tmp_path / "out").metrics["classes"]


def test_prediction_of_another_size_is_refused_with_the_file(trained, tmp_path, monkeypatch):
    from segloom.inference import Predictor

    monkeypatch.setattr(Predictor, "label_map", lambda *_: np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match=r"scene0\.png: prediction and truth must have one shape"):
        evaluate(trained, QUICK, out=tmp_path)
