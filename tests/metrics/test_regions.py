"""Scores of regions against their formulas restated, and the rules of ISIC and LiTS."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.metrics import count_confusion, count_region, region_scores, unit_scores
from segloom.metrics.regions import REGION_SCORES, UNIT_SCORES


def confusion(seed: int, classes: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    truth, prediction = random.integers(0, classes, (2, 20, 30), np.uint8)
    truth[:2] = 255
    return count_confusion(prediction, truth, classes), prediction, truth


@pytest.mark.parametrize("classes", [(1,), (1, 2), (2,), (0, 2)])
def test_a_region_is_its_classes_against_all_others(classes):
    matrix, prediction, truth = confusion(0)
    counted = truth != 255
    found = np.isin(prediction, classes)[counted]
    there = np.isin(truth, classes)[counted]
    tp, fp, fn = (found & there).sum(), (found & ~there).sum(), (~found & there).sum()
    tn = (~found & ~there).sum()
    counts = count_region(matrix, classes)
    assert counts.tolist() == [tp, fp, fn, tn]
    scores = dict(zip(REGION_SCORES, region_scores(counts), strict=True))
    assert scores["Dice"] == pytest.approx(2 * tp / (found.sum() + there.sum()))
    assert scores["Jaccard"] == pytest.approx(tp / (found | there).sum())
    assert scores["sensitivity"] == pytest.approx(tp / there.sum())
    assert scores["specificity"] == pytest.approx(tn / (~there).sum())
    assert scores["accuracy"] == pytest.approx((found == there).mean())


def test_counts_of_many_matrices_are_made_at_once():
    matrices = np.stack([confusion(seed)[0] for seed in range(4)])
    counts = count_region(matrices, (2,))
    assert counts.shape == (4, 4)
    np.testing.assert_array_equal(counts.sum(0), count_region(matrices.sum(0), (2,)))


def test_nothing_there_and_nothing_found_is_perfect():
    scores = dict(zip(UNIT_SCORES, unit_scores(np.array([[0, 0, 0, 9]]))[0], strict=True))
    assert scores == dict.fromkeys(UNIT_SCORES, 1.0)
    # Found where nothing is: sensitivity cannot be lost, all else is.
    alarm = dict(zip(UNIT_SCORES, unit_scores(np.array([[0, 4, 0, 6]]))[0], strict=True))
    assert (alarm["Dice"], alarm["Jaccard"], alarm["sensitivity"]) == (0, 0, 1)
    assert alarm["specificity"] == alarm["accuracy"] == pytest.approx(0.6)


@pytest.mark.parametrize(("tp", "kept"), [(64, 0.0), (65, 0.65), (66, 0.66)])
def test_a_jaccard_below_065_counts_nothing(tp, kept):
    scores = dict(zip(UNIT_SCORES, unit_scores(np.array([[tp, 0, 100 - tp, 5]]))[0], strict=True))
    assert scores["Jaccard"] == pytest.approx(tp / 100)
    assert scores["thresholded Jaccard"] == pytest.approx(kept)
