"""Size buckets: by hand, against scipy's labelling written out slowly, and their invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segloom.errors import DataError
from segloom.metrics import class_totals, count_confusion, count_sizes, size_scores
from segloom.metrics.size_buckets import bucket_names

LIMITS = (4, 30)
few = settings(max_examples=25, deadline=None)
seeds = given(st.integers(0, 2**32 - 1))


def draw(seed, num_classes=4, shape=(26, 31), void=0.1):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, num_classes, (shape[0] // 5 + 1, shape[1] // 5 + 1), dtype=np.uint8)
    truth = np.kron(coarse, np.ones((5, 5), np.uint8))[: shape[0], : shape[1]]
    truth[random.random(shape) < 0.05] = random.integers(num_classes)
    prediction = np.roll(truth, random.integers(-2, 3, 2), (0, 1)).copy()
    wrong = random.random(shape) < 0.1
    prediction[wrong] = random.integers(0, num_classes, int(wrong.sum()))
    truth[random.random(shape) < void] = 255
    return prediction, truth


def bucket_of(area):
    return sum(area >= limit for limit in LIMITS)


def reference(prediction, truth, num_classes):
    """The definition, region by region."""
    eight = np.ones((3, 3))
    counts = np.zeros((num_classes, len(LIMITS) + 1, 5), np.int64)
    for label in range(num_classes):
        objects, number = ndimage.label(truth == label, eight)
        areas = [int((objects == index).sum()) for index in range(number + 1)]
        for index in range(1, number + 1):
            correct = int((prediction[objects == index] == label).sum())
            counts[label, bucket_of(areas[index]), :4] += (
                1,
                2 * correct > areas[index],
                areas[index],
                correct,
            )
        regions, number = ndimage.label((prediction == label) & (truth != 255), eight)
        for index in range(1, number + 1):
            under = objects[regions == index]
            shared = {int(i): int((under == i).sum()) for i in np.unique(under[under > 0])}
            area = len(under)
            if shared:
                area = areas[max(shared, key=lambda i: (shared[i], areas[i]))]
            counts[label, bucket_of(area), 4] += int((under == 0).sum())
    return counts


@few
@seeds
def test_counts_equal_the_definition(seed):
    prediction, truth = draw(seed)
    np.testing.assert_array_equal(
        count_sizes(prediction, truth, 4, LIMITS), reference(prediction, truth, 4)
    )


@few
@seeds
def test_buckets_sum_to_the_confusion_matrix(seed):
    prediction, truth = draw(seed)
    counts = count_sizes(prediction, truth, 4, LIMITS).sum(1)
    totals = class_totals(count_confusion(prediction, truth, 4))
    np.testing.assert_array_equal(counts[:, 3], totals[:, 0])
    np.testing.assert_array_equal(counts[:, 2], totals[:, 1])
    np.testing.assert_array_equal(counts[:, 3] + counts[:, 4], totals[:, 2])


@few
@seeds
def test_predictions_on_void_change_nothing(seed):
    prediction, truth = draw(seed, void=0.3)
    noise = np.random.default_rng(seed).integers(0, 256, truth.shape, dtype=np.uint8)
    changed = np.where(truth == 255, noise, prediction)
    np.testing.assert_array_equal(
        count_sizes(changed, truth, 4, LIMITS), count_sizes(prediction, truth, 4, LIMITS)
    )


@few
@seeds
def test_permuting_the_classes_permutes_the_counts(seed):
    prediction, truth = draw(seed)
    order = np.random.default_rng(seed).permutation(4).astype(np.uint8)
    table = np.append(order, np.full(252, 255, np.uint8))
    np.testing.assert_array_equal(
        count_sizes(table[prediction], table[truth], 4, LIMITS)[order],
        count_sizes(prediction, truth, 4, LIMITS),
    )


@few
@seeds
def test_a_perfect_prediction_finds_every_object(seed):
    _, truth = draw(seed)
    result = size_scores(count_sizes(truth, truth, 4, LIMITS))
    assert set(result.recall[~np.isnan(result.recall)]) == {1.0}
    assert set(result.iou[~np.isnan(result.iou)]) == {1.0}


def canvas(*boxes):
    labels = np.zeros((20, 20), np.uint8)
    for top, left, height, width in boxes:
        labels[top : top + height, left : left + width] = 1
    return labels


def test_bleeding_of_a_large_object_is_not_charged_to_a_small_one():
    truth = canvas((0, 0, 8, 8), (0, 12, 1, 2))  # 64 pixels, and 2 pixels
    prediction = canvas((0, 0, 8, 10), (0, 12, 1, 2))  # 16 false positives at the large one
    assert count_sizes(prediction, truth, 2, LIMITS)[1, :, 4].tolist() == [0, 0, 16]


def test_region_over_two_objects_is_charged_to_the_larger_overlap():
    truth = canvas((0, 0, 8, 8), (0, 12, 1, 2))
    prediction = canvas((0, 0, 8, 14))
    assert count_sizes(prediction, truth, 2, LIMITS)[1, :, 4].tolist() == [0, 0, 14 * 8 - 66]


def test_equal_overlaps_are_charged_to_the_larger_object():
    truth = canvas((0, 0, 1, 2), (0, 4, 8, 8))
    prediction = canvas((0, 1, 1, 4))  # one pixel of each, two between
    assert count_sizes(prediction, truth, 2, LIMITS)[1, :, 4].tolist() == [0, 0, 2]


def test_region_without_an_object_is_charged_by_its_own_area():
    prediction = canvas((0, 0, 1, 3), (5, 5, 2, 5), (10, 10, 8, 8))
    assert count_sizes(prediction, canvas(), 2, LIMITS)[1, :, 4].tolist() == [3, 10, 64]


def test_object_with_exactly_half_of_its_pixels_is_not_found():
    truth = canvas((0, 0, 2, 2))
    half, more = canvas((0, 0, 1, 2)), canvas((0, 0, 1, 2), (1, 0, 1, 1))
    assert count_sizes(half, truth, 2, LIMITS)[1, 1, 1] == 0
    assert count_sizes(more, truth, 2, LIMITS)[1, 1, 1] == 1


def test_diagonal_neighbours_are_one_object_and_a_limit_opens_the_next_bucket():
    truth = canvas(*((i, i, 1, 1) for i in range(4)))
    assert count_sizes(truth, truth, 2, LIMITS)[1, :, 0].tolist() == [0, 1, 0]


def test_class_without_objects_in_a_bucket_is_left_out_of_its_mean():
    counts = np.zeros((2, 2, 5), np.int64)
    counts[0, 0] = 2, 1, 8, 4, 2
    counts[1, 0] = 0, 0, 0, 0, 7  # only false positives
    counts[1, 1] = 1, 1, 90, 81, 0
    result = size_scores(counts)
    np.testing.assert_array_equal(result.mean_iou, [0.4, 0.9])
    np.testing.assert_array_equal(result.recall, [0.5, 1])
    np.testing.assert_array_equal(result.class_recall, [[0.5, np.nan], [np.nan, 1]])


def test_bucket_names_say_their_areas():
    assert bucket_names((256, 1024)) == ["< 256 px", "256-1023 px", ">= 1024 px"]
    assert bucket_names(()) == ["all"]


def test_only_void_counts_nothing():
    void = np.full((4, 4), 255, np.uint8)
    assert count_sizes(void, void, 3, LIMITS).sum() == 0
    assert count_sizes(void[:0], void[:0], 3, LIMITS).sum() == 0


def test_a_prediction_that_is_no_class_is_refused():
    with pytest.raises(DataError, match="the prediction holds the label 7"):
        count_sizes(np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8), 3, LIMITS)
