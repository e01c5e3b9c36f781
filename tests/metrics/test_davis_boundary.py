"""Boundary F of DAVIS: the reference's numbers, and its definition written out slowly here."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segloom.metrics.davis_boundary import davis_boundary_counts, davis_boundary_f


@pytest.mark.parametrize(("name", "tolerance"), [("th0p005", 0.005), ("th3px", 3)])
def test_f_and_precision_equal_those_of_davis(recorded, name, tolerance):
    """Fixture sf_boundary_f."""
    data = recorded("sf_boundary_f")
    truth = np.where(data["in.ignore"], 255, data["in.gt"]).astype(np.uint8)
    counts = davis_boundary_counts(data.array("in.pred"), truth, 2, tolerance)
    f, precision, _ = davis_boundary_f(counts)[1]
    data.compare([f, precision], f"out.F_prec_{name}", 1e-12, kind="score")


def test_boundary_pixels_are_those_of_davis(recorded):
    """Fixture sf_boundary_f: the map is of the prediction before void is cleared."""
    data = recorded("sf_boundary_f")
    counts = davis_boundary_counts(data.array("in.pred"), np.zeros_like(data.array("in.gt")), 2, 1)
    data.compare(
        counts[1, 2], "out.bmap_pred", 0, expected=data["out.bmap_pred"].sum(), kind="score"
    )


def boundary(mask):
    """Mark a pixel whose right, lower or lower right neighbour differs."""
    marks = np.zeros(mask.shape, bool)
    for row, column in np.ndindex(mask.shape):
        for other in ((row, column + 1), (row + 1, column), (row + 1, column + 1)):
            if other[0] < mask.shape[0] and other[1] < mask.shape[1]:
                marks[row, column] |= mask[row, column] != mask[other]
    return np.argwhere(marks)


def met(places, others, radius):
    return sum(any(math.dist(place, other) <= radius for other in others) for place in places)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0.05, 0.2, 1, 2]),
    st.integers(0, 10**6),
)
def test_counts_of_every_class_follow_the_definition(height, width, tolerance, seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
    prediction = rng.integers(0, 3, (height, width), np.uint8)
    counts = davis_boundary_counts(prediction, truth, 3, tolerance)
    radius = tolerance if tolerance >= 1 else math.ceil(tolerance * math.hypot(height, width))
    for label in range(3):
        true = boundary(truth == label)
        predicted = boundary((prediction == label) & (truth != 255))
        expected = [len(true), met(true, predicted, radius)]
        expected += [len(predicted), met(predicted, true, radius)]
        assert counts[label].tolist() == expected


def test_a_class_in_one_map_alone_scores_0_and_in_none_1():
    truth = np.zeros((8, 8), np.uint8)
    truth[2:4, 2:4] = 1
    counts = davis_boundary_counts(np.zeros((8, 8), np.uint8), truth, 3, 1)
    assert davis_boundary_f(counts).tolist() == [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    counts = davis_boundary_counts(truth, np.zeros((8, 8), np.uint8), 2, 1)
    assert davis_boundary_f(counts)[1].tolist() == [0.0, 0.0, 1.0]


def test_more_than_64_classes_are_counted_in_two_rounds():
    truth = np.zeros((6, 9), np.uint8)
    truth[:, 3:], truth[:, 6:] = 70, 5
    counts = davis_boundary_counts(truth, truth, 80, 1)
    assert counts[[0, 5, 70]].tolist() == [[6] * 4, [6] * 4, [12] * 4]
    assert counts.sum() == 96
