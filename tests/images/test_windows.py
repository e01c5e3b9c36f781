"""Windows over an axis: where they lie, and weights by the formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segloom.images.windows import fallback_window, window_starts, window_weights


@pytest.mark.parametrize(
    ("size", "window", "overlap", "expected"),
    [
        (10, 10, 0.5, [0]),
        (20, 10, 0.0, [0, 10]),
        (20, 10, 0.5, [0, 5, 10]),
        (21, 10, 0.5, [0, 4, 7, 11]),
        (11, 10, 0.9, [0, 1]),
        (12, 10, 0.99, [0, 1, 2]),
    ],
)
def test_smooth_windows_are_spread_evenly(size, window, overlap, expected):
    assert window_starts(size, window, overlap) == expected


@pytest.mark.parametrize(
    ("size", "window", "overlap", "expected"),
    [
        (10, 10, 0.5, [0]),
        (20, 10, 0.0, [0, 10]),
        (21, 10, 0.5, [0, 5, 10, 11]),
        (25, 10, 1 / 3, [0, 7, 14, 15]),
        (12, 10, 0.99, [0, 1, 2]),
    ],
)
def test_averaged_windows_have_a_fixed_step_and_the_last_is_moved_back(
    size, window, overlap, expected
):
    assert window_starts(size, window, overlap, "average") == expected


def weigh(size, window, starts):
    """Weigh pixel by pixel: a Gaussian of an eighth of the window, cut at three deviations."""
    raw = np.zeros((len(starts), window))
    for index in range(len(starts)):
        for place in range(window):
            distance = ((place + 0.5) / window - 0.5) * 8
            if index == 0:
                distance = max(distance, 0)
            if index == len(starts) - 1:
                distance = min(distance, 0)
            raw[index, place] = math.exp(-(distance**2) / 2) * (1e-6 if abs(distance) > 3 else 1)
    for pixel in range(size):
        over = [(i, pixel - start) for i, start in enumerate(starts) if 0 <= pixel - start < window]
        total = sum(raw[place] for place in over)
        for place in over:
            raw[place] /= total
    return raw


@pytest.mark.parametrize(("size", "window", "overlap"), [(23, 8, 0.5), (40, 16, 0.25), (9, 9, 0)])
def test_smooth_weights_are_their_formula(size, window, overlap):
    starts = window_starts(size, window, overlap)
    found = window_weights(size, window, starts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, weigh(size, window, starts), rtol=1e-6)


def test_averaged_weights_share_a_pixel_equally():
    starts = window_starts(7, 4, 0.5, "average")
    assert starts == [0, 2, 3]
    found = window_weights(7, 4, starts, "average")
    expected = [[1, 1, 1 / 2, 1 / 3], [1 / 2, 1 / 3, 1 / 2, 1 / 2], [1 / 3, 1 / 2, 1 / 2, 1]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("width", "num_classes", "side"),
    [(2048, 19, 1024), (2048, 128, 1024), (2048, 129, 512), (10**6, 1, 256), (10**9, 255, 256)],
)
def test_the_window_of_a_huge_image_keeps_a_strip_within_a_gibibyte(width, num_classes, side):
    assert fallback_window(width, num_classes) == (side, side)
    assert side == 256 or side * width * num_classes * 4 <= 2**30
