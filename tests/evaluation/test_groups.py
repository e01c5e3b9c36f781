"""Images that depend on one another: influence, scores of groups, and what intervals say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.groups import (
    describe_groups,
    group_scores,
    image_influence,
    resampling_of,
    trained_groups,
)
from segloom.evaluation.image_counts import (
    ImageCounts,
    count_image,
    counts_from_json,
    counts_to_json,
)
from segloom.evaluation.measures import configured_measures
from segloom.evaluation.summary import summarize
from segloom.labels.palette import default_palette
from segloom.types import LabelSet, Place

CONFIG = EvalConfig(bootstrap=200, size_limits=(), boundary_tolerances=())


def images(number: int, where=lambda i: Place()) -> list[ImageCounts]:
    """Half-right predictions of random maps."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(number):
        truth = rng.integers(0, 3, (8, 8), dtype=np.uint8)
        guess = np.where(rng.random((8, 8)) < 0.5 + 0.4 * np.sin(i / 20), truth, 0).astype(np.uint8)
        counts = count_image(f"image{i}", guess, truth, 3, CONFIG)
        found.append(replace(counts, place=where(i)))
    return found


def miou(chosen) -> float:
    return chosen[0].measures.scores(np.sum([i.confusion for i in chosen], axis=0)).mIoU


def test_influence_is_the_score_with_an_image_less_that_without():
    found = images(6)
    for index, value in enumerate(image_influence(found)):
        others = found[:index] + found[index + 1 :]
        assert value == pytest.approx(miou(found) - miou(others))


def test_groups_are_scored_by_themselves():
    found = images(9, lambda i: Place(f"film{i % 2}") if i < 6 else Place())
    rows = group_scores(found)
    assert [(row["name"], row["num_images"]) for row in rows] == [("film0", 3), ("film1", 3)]
    assert rows[0]["mIoU"] == pytest.approx(miou(found[0:6:2]))


def test_intervals_of_films_are_wider_and_say_for_what_they_hold():
    labels = LabelSet(("a", "b", "c"), default_palette(3))
    alone = summarize(images(120), labels, CONFIG)
    films = images(120, lambda i: Place("x" if i < 60 else "y", i))
    of_films = summarize(films, labels, CONFIG)
    assert alone["groups"] is None
    assert of_films["bootstrap"]["unit"] == "block"
    assert "2 groups (x, y)" in of_films["groups"]["rule"]
    assert "hold for these groups, not for others" in of_films["groups"]["rule"]
    widths = [np.ptp(result["intervals"]["mIoU"]) for result in (alone, of_films)]
    assert widths[1] > 1.5 * widths[0]
    assert of_films["scores"] == alone["scores"]


def test_many_groups_are_drawn_whole_and_say_so():
    found = images(40, lambda i: Place(f"patient{i // 2}"))
    assert resampling_of(found).unit == "group"
    assert "whole groups of images (20 groups)" in describe_groups(found)["rule"]


def test_images_of_trained_groups_are_counted_and_left_out():
    found = images(10, lambda i: Place("seen" if i < 4 else "new", i))
    part = trained_groups(found, {"seen", "other"})
    assert part["groups"] == ["seen"]
    assert part["num_images"] == 4
    assert part["mIoU_without"] == pytest.approx(miou(found[4:]))
    assert part["words"].startswith("40 % of these images (4 of 10; seen) come from groups")
    assert f"without them mIoU is {100 * miou(found[4:]):.1f} %" in part["words"]
    assert trained_groups(found, {"other"}) is None
    assert trained_groups(found, {"seen", "new"})["mIoU_without"] is None


def test_counts_keep_the_place_and_older_ones_have_none():
    (one,) = images(1, lambda i: Place("film", 7))
    values = counts_to_json(one)
    assert counts_from_json(values, 3, configured_measures(CONFIG)).place == Place("film", 7)
    del values["place"]
    assert counts_from_json(values, 3, configured_measures(CONFIG)).place == Place()
