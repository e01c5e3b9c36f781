"""Windows without torch: rows that come once, in order, and the weighted mean of what they say."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.images.windows import window_starts, window_weights
from segloom.runtime.windows import blend_windows


def collect(image, score, **options):
    """Put the rows together, checking that each comes once."""
    parts, expected = [], 0
    for top, rows in blend_windows(image, score, **options):
        assert top == expected
        expected += rows.shape[1]
        parts.append(rows.copy())
    assert expected == len(image)
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("blend", ["smooth", "average"])
@pytest.mark.parametrize("window", [(4, 6), (9, 11), (100, 5), (1, 1)])
def test_scores_are_the_weighted_sum_of_all_windows(window, blend):
    """Every window says something else of a pixel, by where the pixel lies in it."""
    image = np.random.default_rng(0).integers(0, 255, (13, 17, 3)).astype(np.uint8)

    def score(part):
        rows, columns = np.indices(part.shape[:2])
        return np.stack([part[..., 0], part[..., 1] + rows, part[..., 2] * columns]).astype(
            np.float32
        )

    height, width = (min(a, b) for a, b in zip(window, image.shape, strict=False))
    tops = window_starts(13, height, 0.4, blend)
    lefts = window_starts(17, width, 0.4, blend)
    down = window_weights(13, height, tops, blend)
    across = window_weights(17, width, lefts, blend)
    expected = np.zeros((3, 13, 17))
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            place = np.s_[top : top + height, left : left + width]
            expected[:, *place] += score(image[place]) * np.outer(down[i], across[j])
    found = collect(image, score, window=window, overlap=0.4, blend=blend)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_windows_that_agree_give_what_they_say():
    image = np.arange(20 * 9, dtype=np.uint8).reshape(20, 9, 1)
    found = collect(
        image,
        lambda part: part[None, ..., 0].astype(np.float32),
        window=(6, 4),
        overlap=0.5,
        blend="smooth",
    )
    np.testing.assert_allclose(found[0], image[..., 0], rtol=1e-5)


def test_a_window_is_contiguous_and_no_larger_than_the_image():
    seen = []

    def score(part):
        seen.append((part.shape, part.flags.c_contiguous))
        return np.zeros((1, *part.shape[:2]), np.float32)

    collect(np.zeros((5, 8, 3), np.uint8), score, window=(9, 4), overlap=0.0, blend="average")
    assert seen == [((5, 4, 3), True)] * 2
