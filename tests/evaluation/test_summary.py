"""From the counts of two images of four pixels each to metrics.json, computed by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.image_counts import ImageCounts, count_image
from segloom.evaluation.summary import (
    counted_scores,
    image_scores,
    sections,
    summarize,
    write_tables,
)
from segloom.types import LabelSet

LABELS = LabelSet(("road", "tree", "pole"), ((128, 64, 128), (0, 255, 0), (1, 2, 3)))
CONFIG = EvalConfig(split="val", bootstrap=50, size_limits=(), boundary_tolerances=())

TRUTH = ([[0, 0], [1, 255]], [[1, 1], [1, 1]])
GUESS = ([[0, 1], [1, 0]], [[1, 1], [1, 0]])
"""Of 7 pixels road has 1 right of 2, and tree 4 of 5; one of each is taken for the other."""


@pytest.fixture
def images() -> list[ImageCounts]:
    pairs = zip(("first", "second"), GUESS, TRUTH, strict=True)
    return [
        count_image(name, np.array(guess, np.uint8), np.array(truth, np.uint8), 3, CONFIG)
        for name, guess, truth in pairs
    ]


def test_scores_are_of_the_pixels_of_all_images_together(images: list[ImageCounts]) -> None:
    metrics = summarize(images, LABELS, CONFIG)
    assert metrics["confusion"] == [[1, 1, 0], [1, 4, 0], [0, 0, 0]]
    assert metrics["scores"]["mIoU"] == pytest.approx((1 / 3 + 4 / 6) / 2)
    assert metrics["scores"]["aAcc"] == pytest.approx(5 / 7)
    assert metrics["scores"]["mAcc"] == pytest.approx((1 / 2 + 4 / 5) / 2)
    road, tree, pole = metrics["per_class"]
    assert (road["IoU"], tree["IoU"]) == (pytest.approx(1 / 3), pytest.approx(4 / 6))
    assert (road["pixels"], tree["pixels"]) == (pytest.approx(2 / 7), pytest.approx(5 / 7))
    assert pole["IoU"] is None


def test_the_head_says_what_was_measured(images: list[ImageCounts]) -> None:
    metrics = summarize(images, LABELS, CONFIG)
    assert (metrics["version"], metrics["split"], metrics["num_images"]) == (1, "val", 2)
    assert metrics["classes"] == ["road", "tree", "pole"]
    assert metrics["palette"] == [[128, 64, 128], [0, 255, 0], [1, 2, 3]]
    assert metrics["bootstrap"] == {"resamples": 50, "confidence": 0.95, "unit": "image"}
    assert metrics["groups"] is None
    assert "measures" not in metrics


def test_a_lone_image_cannot_be_drawn_again(images: list[ImageCounts]) -> None:
    both, alone = (summarize(found, LABELS, CONFIG) for found in (images, images[:1]))
    low, high = both["intervals"]["aAcc"]
    assert (low, high) == (pytest.approx(2 / 3), pytest.approx(3 / 4))  # of one image twice
    assert "IoU.pole" not in both["intervals"]
    assert alone["intervals"] == {}
    assert alone["bootstrap"]["resamples"] == 0


@pytest.mark.parametrize(
    ("index", "ious", "accuracy"), [(0, [1 / 2, 1 / 2, None], 2 / 3), (1, [0, 3 / 4, None], 3 / 4)]
)
def test_an_image_is_scored_by_its_own_pixels(
    images: list[ImageCounts], index: int, ious: list[float | None], accuracy: float
) -> None:
    found = image_scores(images[index])
    assert [None if np.isnan(value) else value for value in found.IoU] == pytest.approx(ious)
    assert found.aAcc == pytest.approx(accuracy)


def test_per_image_csv_has_a_row_per_image_and_empty_cells(
    images: list[ImageCounts], tmp_path: Path
) -> None:
    paths = write_tables(tmp_path, images, summarize(images, LABELS, CONFIG))
    with paths["per_image.csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["first", "second"]
    assert list(rows[0]) == ["id", "mIoU", "aAcc", "IoU.road", "IoU.tree", "IoU.pole"]
    assert float(rows[1]["mIoU"]) == pytest.approx((0 + 3 / 4) / 2)
    assert [row["IoU.pole"] for row in rows] == ["", ""]


def test_tables_of_an_earlier_evaluation_that_measured_more_go(
    images: list[ImageCounts], tmp_path: Path
) -> None:
    for name in ("size.csv", "notes.txt"):
        (tmp_path / name).write_text("old")
    paths = write_tables(tmp_path, images, summarize(images, LABELS, CONFIG))
    assert "size.csv" not in paths
    assert not (tmp_path / "size.csv").exists()
    assert (tmp_path / "notes.txt").read_text() == "old"
    assert set(paths.values()) == {path for path in tmp_path.iterdir() if path.suffix == ".csv"}


def test_sections_of_other_packages_come_last_and_silent_ones_not_at_all(
    images: list[ImageCounts],
) -> None:
    metrics = summarize(images, LABELS, CONFIG)
    shown = {"title": "Film", "columns": ["score"], "rows": [["a", 0.5]]}
    others = {"silent": {"section": None}, "loud": {"section": shown}}
    titles = [section.title for section in sections({**metrics, "measures": others})]
    assert titles == [*(section.title for section in sections(metrics)), "Film"]
    assert len(titles) >= 2


def test_compared_scores_follow_from_the_counts_of_each_image(images: list[ImageCounts]) -> None:
    groups = list(counted_scores(images, LABELS.classes, CONFIG))
    values = {
        name: value
        for names, counts, statistic, _ in groups
        for name, value in zip(names, statistic(counts[1:].sum(0, keepdims=True))[0], strict=True)
    }
    assert all(group.is_compared for group in groups)
    assert values["IoU.tree"] == pytest.approx(3 / 4)
    assert values["mIoU"] == pytest.approx(3 / 8)
