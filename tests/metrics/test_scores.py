"""Scores against the Cityscapes formula restated, by hand, and for absent classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segloom.errors import DataError
from segloom.metrics import class_totals, scores


def cityscapes_iou(matrix, label):
    """The formula of cityscapesScripts: TP over TP + FP + FN, NaN if that is zero."""
    true_positive = int(matrix[label, label])
    false_negative = int(matrix[label, :].sum()) - true_positive
    others = [row for row in range(len(matrix)) if row != label]
    false_positive = int(matrix[others, label].sum())
    denominator = true_positive + false_positive + false_negative
    return float("nan") if denominator == 0 else true_positive / denominator


@pytest.mark.parametrize("seed", range(5))
def test_iou_equals_the_cityscapes_formula(seed):
    random = np.random.default_rng(seed)
    matrix = random.integers(0, 1000, (7, 7))
    matrix[3, :] = matrix[:, 3] = 0
    expected = [cityscapes_iou(matrix, label) for label in range(7)]
    result = scores(matrix)
    np.testing.assert_array_equal(result.IoU, expected)
    assert result.mIoU == np.nanmean(expected)


def test_every_score_by_hand():
    result = scores([[6, 2], [1, 1]])
    np.testing.assert_allclose(result.IoU, [6 / 9, 1 / 4])
    np.testing.assert_allclose(result.accuracy, [6 / 8, 1 / 2])
    np.testing.assert_allclose(result.precision, [6 / 7, 1 / 3])
    np.testing.assert_allclose(result.Dice, [12 / 15, 2 / 5])
    np.testing.assert_allclose(result.pixels, [0.8, 0.2])
    assert result.summary() == pytest.approx(
        {
            "mIoU": (6 / 9 + 1 / 4) / 2,
            "aAcc": 0.7,
            "mAcc": 0.625,
            "mDice": 0.6,
            "fwIoU": 0.8 * 6 / 9 + 0.2 / 4,
        }
    )


def test_absent_class_has_no_score_and_leaves_the_mean_alone():
    result = scores([[5, 0, 5], [0, 0, 0], [0, 0, 10]])
    assert np.isnan(result.IoU[1])
    assert np.isnan(result.accuracy[1])
    assert result.mIoU == pytest.approx((5 / 10 + 10 / 15) / 2)


def test_class_that_is_only_predicted_has_iou_zero():
    result = scores([[5, 5], [0, 0]])
    assert result.IoU[1] == 0
    assert result.mIoU == 0.25
    assert np.isnan(result.accuracy[1])
    assert result.mAcc == 0.5


def test_nothing_counted_gives_no_score():
    assert all(np.isnan(value) for value in scores(np.zeros((3, 3))).summary().values())


def test_a_stack_is_scored_like_its_parts_and_tensors_like_arrays():
    stack = np.random.default_rng(0).integers(0, 50, (4, 5, 5))
    together = scores(torch.from_numpy(stack))
    for index, matrix in enumerate(stack):
        alone = scores(matrix)
        assert together.mIoU[index] == alone.mIoU
        assert together.fwIoU[index] == alone.fwIoU
        np.testing.assert_array_equal(together.Dice[index], alone.Dice)


def test_totals_are_correct_truth_and_predicted():
    assert class_totals([[6, 2], [1, 1]]).tolist() == [[6, 8, 7], [1, 2, 3]]


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(DataError, match=r"square; got the shape \(2, 3\)"):
        scores(np.zeros((2, 3)))
