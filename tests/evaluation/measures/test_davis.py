"""The boundary F of DAVIS in an evaluation: means over images, intervals, rows, and nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from segloom.config import EvalConfig
from segloom.evaluation import Evaluation, evaluate
from segloom.images.read import read_image
from segloom.metrics.davis_boundary import davis_boundary_counts, davis_boundary_f
from segloom.report.read import Metrics

CONFIG = EvalConfig(bootstrap=50, size_limits=(), montages=0, davis_tolerances=(0.02, 3))


@pytest.fixture(scope="module")
def result(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    config = CONFIG.model_copy(update={"predictions": True})
    return evaluate(trained, config, out=tmp_path_factory.mktemp("out"))


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "boundary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_scores_are_means_over_the_images(result: Evaluation, data_config) -> None:
    masks = sorted((data_config.root / "test" / "masks").iterdir())
    truths = [read_image(path)[..., 0] for path in masks]
    predictions = [read_image(result.folder / "predictions" / path.name)[..., 0] for path in masks]
    for tolerance, group in zip(
        (0.02, 3), result.metrics["davis_boundary"]["tolerances"], strict=True
    ):
        scores = [
            davis_boundary_f(davis_boundary_counts(prediction, truth, 3, tolerance))
            for prediction, truth in zip(predictions, truths, strict=True)
        ]
        mean = np.mean(scores, axis=0)  # (K, 3)
        assert group["tolerance"] == tolerance
        assert [entry["F"] for entry in group["per_class"]] == pytest.approx(mean[:, 0])
        named = [group["F"], group["precision"], group["recall"]]
        assert named == pytest.approx(mean.mean(axis=0))
    assert [group["pixels"] for group in result.metrics["davis_boundary"]["tolerances"]] == [2, 3]


def test_the_mean_has_an_interval_around_it(result: Evaluation) -> None:
    metrics = Metrics.model_validate(result.metrics)
    for row in metrics.davis_boundary.tolerances:
        low, high = metrics.interval(f"davisF@{row.tolerance:g}")
        assert low < row.f < high


def test_table_holds_the_same_numbers(result: Evaluation) -> None:
    rows = [row for row in read_rows(result.folder) if row["davis F"]]
    assert [row["class"] for row in rows] == ["all", "ground", "thing", "sky"] * 2
    assert all(row["bIoU"] == row["bF"] == "" for row in rows)
    second = result.metrics["davis_boundary"]["tolerances"][1]
    assert float(rows[4]["davis F"]) == second["F"]
    assert float(rows[6]["davis recall"]) == second["per_class"][1]["recall"]


def test_it_is_left_out_where_it_is_not_asked_for(trained: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"davis_tolerances": ()})
    result = evaluate(trained, config, out=tmp_path)
    assert result.metrics["davis_boundary"] is None
    assert not any(name.startswith("davis") for name in result.metrics["intervals"])
    assert set(read_rows(tmp_path)[0]) == {"tolerance", "pixels", "class", "bIoU", "bF"}
