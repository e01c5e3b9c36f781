"""Regions in metrics.json: means per unit, the whole, cases of several images, intervals."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig, EvalConfig
from segloom.evaluation import evaluate
from segloom.evaluation.image_counts import count_image
from segloom.evaluation.measures.base import SplitCounts
from segloom.evaluation.measures.regions import RegionMeasure
from segloom.evaluation.summary import summarize, write_tables
from segloom.labels.palette import default_palette
from segloom.metrics import count_region, region_scores, unit_scores
from segloom.metrics.regions import REGION_SCORES
from segloom.models.weights.checkpoint import from_pretrained, save_pretrained
from segloom.types import LabelSet, Region

CONFIG = EvalConfig(bootstrap=200, size_limits=(), boundary_tolerances=())


def images(num_classes: int, number: int = 6):
    random = np.random.default_rng(0)
    maps = random.integers(0, num_classes, (number, 2, 12, 12), np.uint8)
    return [count_image(f"i{n}", p, t, num_classes, CONFIG) for n, (p, t) in enumerate(maps)]


def labels(*names: str) -> LabelSet:
    return LabelSet(names, default_palette(len(names)))


def test_two_classes_are_scored_as_background_and_foreground():
    counted = images(2)
    part = summarize(counted, labels("skin", "lesion"), CONFIG)["regions"]
    assert (part["unit"], part["num_units"]) == ("image", 6)
    (region,) = part["regions"]
    assert (region["name"], region["classes"]) == ("lesion", [1])
    counts = np.stack([count_region(image.confusion, (1,)) for image in counted])
    assert list(region["mean"]) == list(REGION_SCORES)  # none of a challenge
    expected = unit_scores(counts).mean(axis=0)[: len(REGION_SCORES)]
    np.testing.assert_allclose(list(region["mean"].values()), expected)
    np.testing.assert_allclose(list(region["whole"].values()), region_scores(counts.sum(0)))
    low, high = region["intervals"]["mean.Dice"]
    assert low <= region["mean"]["Dice"] <= high


def test_the_thresholded_jaccard_is_for_regions_that_ask_for_it():
    counted = images(2)
    names = labels("skin", "lesion")
    regions = [Region("lesion", (1,), has_threshold=True)]
    part = RegionMeasure().summarize(SplitCounts(counted, names, regions, [], 200))["regions"]
    counts = np.stack([count_region(image.confusion, (1,)) for image in counted])
    expected = unit_scores(counts).mean(axis=0)
    np.testing.assert_allclose(list(part["regions"][0]["mean"].values()), expected)
    assert "ISIC 2018" in part["definition"]
    plain = RegionMeasure().summarize(SplitCounts(counted, names, [], [], 200))["regions"]
    assert "ISIC" not in plain["definition"]
    tables = [RegionMeasure.tables({"regions": found})["regions.csv"] for found in (part, plain)]
    assert [len(table.columns) for table in tables] == [8, 7]


def test_three_classes_have_no_regions_unless_named():
    assert summarize(images(3), labels("a", "b", "c"), CONFIG)["regions"] is None


def test_slices_are_added_up_to_cases_before_they_are_scored():
    counted = images(3)
    cases = ["p", "p", "q", "q", "q", ""]
    regions = [Region("liver", (1, 2)), Region("tumour", (2,))]
    names = labels("background", "liver", "tumour")
    part = RegionMeasure().summarize(SplitCounts(counted, names, regions, cases, 200))["regions"]
    assert (part["unit"], part["num_units"]) == ("case", 3)
    groups = [counted[:2], counted[2:5], counted[5:]]
    for region, classes in zip(part["regions"], [(1, 2), (2,)], strict=True):
        dice = []
        for group in groups:
            matrix = sum(image.confusion for image in group)
            inside = matrix[np.ix_(classes, classes)].sum()
            both = matrix[list(classes)].sum() + matrix[:, list(classes)].sum()
            dice.append(2 * inside / both)
        assert region["mean"]["Dice"] == pytest.approx(np.mean(dice))
        units = [u["Dice"] for u in part["units"] if u["region"] == region["name"]]
        assert units == pytest.approx(dice)
    assert [u["name"] for u in part["units"]][:3] == ["p", "q", "i5"]


def test_one_unit_has_no_interval():
    counted = SplitCounts(images(2, 1), labels("a", "b"), [Region("a", (1,))], [""], 200)
    part = RegionMeasure().summarize(counted)["regions"]
    assert part["regions"][0]["intervals"] == {}


def test_the_table_has_a_row_per_unit_and_an_old_one_goes(tmp_path):
    counted = images(2)
    metrics = summarize(counted, labels("skin", "lesion"), CONFIG)
    path = write_tables(tmp_path, counted, metrics)["regions.csv"]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [image.id for image in counted]
    assert float(rows[2]["Dice"]) == pytest.approx(metrics["regions"]["units"][2]["Dice"])
    assert "regions.csv" not in write_tables(tmp_path, counted, {**metrics, "regions": None})
    assert not path.exists()


def test_volumes_are_scored_as_cases_from_files_to_metrics(tmp_path, trained):
    nibabel = pytest.importorskip("nibabel", reason="the extra segloom[medical] is not installed")
    random = np.random.default_rng(0)
    names = ("background", "liver", "tumour")
    truth = {}
    for number, slices in ((0, 2), (1, 3)):
        truth[number] = random.integers(0, 3, (slices, 32, 40)).astype(np.int16)
        for name, voxels in (("volume", 100 * truth[number]), ("segmentation", truth[number])):
            path = tmp_path / "test" / f"{name}-{number}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nibabel.Nifti1Image(voxels.T, np.diag([-1, -1, 5, 1])).to_filename(path)
    run = tmp_path / "run"
    model = from_pretrained(trained)
    save_pretrained(model, run / "checkpoints" / "best", labels(*names))
    config = CONFIG.model_copy(update={"montages": 0, "predictions": True})
    result = evaluate(run, config, DataConfig(name="lits", root=tmp_path, cache=False))
    part = result.metrics["regions"]
    assert (part["unit"], part["num_units"], result.metrics["num_images"]) == ("case", 2, 5)
    assert [region["classes"] for region in part["regions"]] == [[1, 2], [2]]
    dice = []
    for number, maps in truth.items():
        files = sorted((result.folder / "predictions").glob(f"volume-{number}_*.png"))
        found = np.stack([np.asarray(Image.open(file)) for file in files])
        both = (found == 2).sum() + (maps == 2).sum()
        dice.append(2 * ((found == 2) & (maps == 2)).sum() / both)
    assert part["regions"][1]["mean"]["Dice"] == pytest.approx(np.mean(dice))
