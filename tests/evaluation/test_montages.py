"""Which images are shown."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.config import EvalConfig
from segloom.evaluation.image_counts import count_image
from segloom.evaluation.montages import choose_extremes

CONFIG = EvalConfig(size_limits=(), boundary_tolerances=())


def image(right):
    """Ten pixels of class 0, of which `right` are predicted; none counts if it is negative."""
    truth = np.full((1, 10), 0 if right >= 0 else 255, np.uint8)
    prediction = np.array([[0] * max(right, 0) + [1] * (10 - max(right, 0))], np.uint8)
    return count_image(str(right), prediction, truth, 2, CONFIG)


@pytest.mark.parametrize(
    ("right", "number", "best", "worst"),
    [
        ([3, 9, 5, 7, 1], 2, [1, 3], [4, 0]),
        ([3, 9, 5], 6, [1, 2], [0]),
        ([3, -1], 6, [0], []),
        ([4, 4, 4], 1, [0], [2]),
        ([3, 9], 0, [], []),
        ([-1], 3, [], []),
    ],
)
def test_best_and_worst_are_chosen_without_overlap(right, number, best, worst):
    found = choose_extremes([image(value) for value in right], number)
    assert [[index for index, _ in part] for part in found] == [best, worst]
