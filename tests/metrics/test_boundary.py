"""Boundary counts against their per-class definitions, written out slowly here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segloom.errors import DataError
from segloom.metrics import boundary_scores, count_boundary
from segloom.metrics.boundary import tolerance_pixels

TOLERANCES = (0.02, 0.08)


def blobs(seed, num_classes, shape=(37, 52), void=0.1):
    """Label maps with coherent regions: coarse noise, enlarged; the prediction is a noisy copy."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, num_classes, (shape[0] // 6 + 1, shape[1] // 6 + 1), dtype=np.uint8)
    truth = np.kron(coarse, np.ones((6, 6), np.uint8))[: shape[0], : shape[1]]
    prediction = np.roll(truth, random.integers(-3, 4, 2), (0, 1)).copy()
    wrong = random.random(shape) < 0.03
    prediction[wrong] = random.integers(0, num_classes, int(wrong.sum()))
    hidden = np.kron(random.random(coarse.shape) < void, np.ones((6, 6), bool))
    truth[np.roll(hidden, 2, (0, 1))[: shape[0], : shape[1]]] = 255
    return prediction, truth


def cheng_band(mask, distance):
    """Pad by one pixel of background, erode `distance` times by 3x3, subtract (Cheng et al.)."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)
    return mask & ~eroded[1:-1, 1:-1].astype(bool)


def band_with_void(labels, label, distance):
    """Pixels of the class with a known pixel of another class or the outside in the square."""
    mask, known = labels == label, labels != 255
    other = np.pad(known & ~mask, distance, constant_values=True)
    near = np.zeros(mask.shape, bool)
    for y in range(2 * distance + 1):
        for x in range(2 * distance + 1):
            near |= other[y : y + mask.shape[0], x : x + mask.shape[1]]
    return mask & near


def contour_of(labels, label):
    mask, known = labels == label, labels != 255
    other = np.pad(known & ~mask, 1, constant_values=False)
    neighbours = other[:-2, 1:-1] | other[2:, 1:-1] | other[1:-1, :-2] | other[1:-1, 2:]
    return mask & neighbours


def met(contour, other, distance):
    """Share of contour pixels with an other contour pixel within the distance, pair by pair."""
    if not contour.any() or not other.any():
        return 0
    gaps = np.argwhere(contour)[:, None] - np.argwhere(other)[None]
    return int(((gaps**2).sum(-1).min(1) <= distance**2).sum())


def reference(prediction, truth, num_classes, tolerances):
    prediction = np.where(truth == 255, 255, prediction)
    counts = np.zeros((len(tolerances), num_classes, 7), np.int64)
    for row, tolerance in zip(counts, tolerances, strict=True):
        distance = max(1, round(tolerance * float(np.hypot(*truth.shape))))
        for label in range(num_classes):
            true = band_with_void(truth, label, distance)
            predicted = band_with_void(prediction, label, distance)
            row[label, :3] = (true & predicted).sum(), true.sum(), predicted.sum()
            true, predicted = contour_of(truth, label), contour_of(prediction, label)
            row[label, 3:] = (
                true.sum(),
                met(true, predicted, distance),
                predicted.sum(),
                met(predicted, true, distance),
            )
    return counts


@pytest.mark.parametrize("num_classes", [1, 2, 5, 12, 40, 70, 255])
def test_counts_equal_the_per_class_definition(num_classes):
    prediction, truth = blobs(num_classes, num_classes)
    np.testing.assert_array_equal(
        count_boundary(prediction, truth, num_classes, TOLERANCES),
        reference(prediction, truth, num_classes, TOLERANCES),
    )


@pytest.mark.parametrize("seed", range(4))
def test_bands_without_void_equal_iterated_erosion_of_each_mask(seed):
    prediction, truth = blobs(seed, 6, void=0)
    counts = count_boundary(prediction, truth, 6, TOLERANCES)
    for row, tolerance in zip(counts, TOLERANCES, strict=True):
        distance = tolerance_pixels(*truth.shape, tolerance)
        for label in range(6):
            true = cheng_band(truth == label, distance)
            predicted = cheng_band(prediction == label, distance)
            expected = [(true & predicted).sum(), true.sum(), predicted.sum()]
            assert row[label, :3].tolist() == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_predictions_on_void_change_nothing(seed):
    prediction, truth = blobs(seed, 5, void=0.3)
    noise = np.random.default_rng(seed).integers(0, 256, truth.shape, dtype=np.uint8)
    changed = np.where(truth == 255, noise, prediction)
    np.testing.assert_array_equal(
        count_boundary(changed, truth, 5, TOLERANCES),
        count_boundary(prediction, truth, 5, TOLERANCES),
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_permuting_the_classes_permutes_the_counts(seed):
    prediction, truth = blobs(seed, 5)
    order = np.random.default_rng(seed).permutation(5).astype(np.uint8)
    table = np.append(order, np.full(251, 255, np.uint8))
    np.testing.assert_array_equal(
        count_boundary(table[prediction], table[truth], 5, TOLERANCES)[:, order],
        count_boundary(prediction, truth, 5, TOLERANCES),
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_perfect_prediction_scores_one(seed):
    _, truth = blobs(seed, 5)
    result = boundary_scores(count_boundary(truth, truth, 5, TOLERANCES))
    np.testing.assert_array_equal(result.mean_iou, 1)
    np.testing.assert_array_equal(result.mean_f, 1)


def test_a_shift_within_the_tolerance_keeps_boundary_f_at_one():
    truth, prediction = np.zeros((2, 40, 40), np.uint8)
    truth[:, 20:] = 1
    prediction[:, 22:] = 1
    near, far = boundary_scores(count_boundary(prediction, truth, 2, (2 / 56.6, 1 / 56.6))).mean_f
    assert near == 1
    assert far == 0


def test_scores_by_hand():
    counts = np.zeros((1, 3, 7), np.int64)
    counts[0, 0] = 2, 4, 6, 10, 5, 10, 10
    counts[0, 1] = 0, 4, 0, 10, 0, 0, 0
    result = boundary_scores(counts)
    np.testing.assert_array_equal(result.iou[0], [2 / 8, 0, np.nan])
    np.testing.assert_array_equal(result.f[0], [2 * 0.5 / 1.5, 0, np.nan])
    assert result.mean_iou[0] == 1 / 8


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 3)])
def test_an_image_thinner_than_the_band_is_measured(shape):
    truth = np.random.default_rng(0).integers(0, 3, shape, dtype=np.uint8)
    counts = count_boundary(truth, truth, 3, (0.25,))
    np.testing.assert_array_equal(counts, reference(truth, truth, 3, (0.25,)))


def test_only_void_or_no_tolerance_counts_nothing():
    void = np.full((5, 5), 255, np.uint8)
    assert count_boundary(np.zeros_like(void), void, 3, TOLERANCES).sum() == 0
    assert count_boundary(void, void, 3, ()).shape == (0, 3, 7)


def test_tolerance_is_a_share_of_the_diagonal_and_at_least_a_pixel():
    assert tolerance_pixels(360, 480, 0.02) == 12
    assert tolerance_pixels(3, 4, 0.001) == 1


def test_a_prediction_that_is_no_class_is_refused():
    with pytest.raises(DataError, match="the prediction holds the label 7"):
        count_boundary(np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8), 3, (0.1,))
