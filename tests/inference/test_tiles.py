"""Windows cover every pixel with weights that sum to 1, and blend into the whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recorded import Recording
from torch import Tensor

from segloom.images.windows import window_starts
from segloom.images.windows import window_weights as weights_of_windows
from segloom.inference.tiles import blend_windows
from segloom.types import Blend


def window_weights(size: int, window: int, starts: list[int], blend: Blend = "smooth") -> Tensor:
    return torch.from_numpy(weights_of_windows(size, window, starts, blend))


@settings(deadline=None)
@given(size=st.integers(1, 300), window=st.integers(1, 300), overlap=st.floats(0, 0.95))
def test_windows_cover_an_axis_with_at_least_the_overlap(
    size: int, window: int, overlap: float
) -> None:
    window = min(size, window)
    starts = window_starts(size, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == size - window
    assert starts == sorted(set(starts))
    step = max(1, int(window * (1 - overlap)))
    assert all(after - before <= step for before, after in pairwise(starts))


@settings(deadline=None)
@given(size=st.integers(1, 300), window=st.integers(1, 120), overlap=st.floats(0, 0.9))
def test_weights_over_a_pixel_sum_to_one(size: int, window: int, overlap: float) -> None:
    window = min(size, window)
    starts = window_starts(size, window, overlap)
    total = torch.zeros(size)
    for start, weights in zip(starts, window_weights(size, window, starts), strict=True):
        assert (weights >= 0).all()
        total[start : start + window] += weights
    torch.testing.assert_close(total, torch.ones(size))


@pytest.mark.parametrize("index", range(8))
def test_averaged_windows_lie_where_sfnet_places_them(
    recorded: Callable[[str], Recording], index: int
) -> None:
    """Fixture sf_eval_misc: boxes (left, top, right, bottom), column by column."""
    data = recorded("sf_eval_misc")
    name, case = list(data.json("meta.sliding").items())[index]
    height, width, crop = (int(part[1:].removeprefix("rop")) for part in name.split("_")[:3])
    window = int(crop * max(1.0, float(name.partition("scale")[2])))  # grows with the zoom
    rows, columns = min(window, height), min(window, width)
    boxes = [
        [left, top, left + columns, top + rows]
        for left in window_starts(width, columns, 1 / 3, "average")
        for top in window_starts(height, rows, 1 / 3, "average")
    ]
    data.equal(boxes, "meta.sliding", case["boxes"], kind="windows")


@settings(deadline=None)
@given(size=st.integers(1, 300), window=st.integers(1, 120), overlap=st.floats(0, 0.9))
def test_averaged_windows_count_every_pixel_as_often_as_it_is_seen(
    size: int, window: int, overlap: float
) -> None:
    window = min(size, window)
    starts = window_starts(size, window, overlap, "average")
    assert (starts[0], starts[-1]) == (0, size - window)
    assert starts == sorted(set(starts))
    count = torch.zeros(size)
    for start in starts:
        count[start : start + window] += 1
    assert (count >= 1).all()
    for start, weights in zip(starts, window_weights(size, window, starts, "average"), strict=True):
        torch.testing.assert_close(weights, 1 / count[start : start + window])


def test_averaged_windows_give_the_mean_of_what_they_say() -> None:
    numbers = iter([1.0, 2.0, 4.0])

    def score(part: Tensor) -> Tensor:
        return torch.full((1, 1, *part.shape[-2:]), next(numbers))

    row = collect(torch.zeros(1, 3, 8, 20), score, window=(8, 10), overlap=0.3, blend="average")
    # Windows begin at 0, 7 and 10, the last one moved back from 14.
    expected = [1.0] * 7 + [1.5] * 3 + [3.0] * 7 + [4.0] * 3
    torch.testing.assert_close(row[0, 0], torch.tensor(expected))


def collect(image: Tensor, score, **options) -> Tensor:
    """Put the rows together and check that each comes once and in order."""
    parts, row = [], 0
    for top, scores in blend_windows(image, score, **options):
        assert top == row
        row += scores.shape[1]
        parts.append(scores.clone())
    assert row == image.shape[2]
    return torch.cat(parts, dim=1)


KERNEL = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) / 8


def convolve(image: Tensor) -> Tensor:
    return F.conv2d(image.float(), KERNEL, padding=2)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("overlap", [0.5, 0.3])
@pytest.mark.parametrize("size", [(64, 64), (97, 130), (33, 200), (200, 20), (1, 1)])
def test_tiled_convolution_equals_the_whole_one(
    size: tuple[int, int], overlap: float, batch_size: int
) -> None:
    image = torch.rand(1, 3, *size)
    tiled = collect(image, convolve, window=(32, 40), overlap=overlap, batch_size=batch_size)
    torch.testing.assert_close(tiled, convolve(image)[0], rtol=1e-4, atol=1e-4)


def test_a_window_larger_than_the_image_sees_it_whole() -> None:
    image = torch.rand(1, 3, 20, 30)
    seen: list[tuple[int, ...]] = []

    def score(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape))
        return convolve(part)

    tiled = collect(image, score, window=(512, 512))
    assert seen == [(1, 3, 20, 30)]
    torch.testing.assert_close(tiled, convolve(image)[0])


def test_every_window_has_the_full_size() -> None:
    shapes = set()

    def score(part: Tensor) -> Tensor:
        shapes.add(tuple(part.shape[-2:]))
        return convolve(part)

    collect(torch.rand(1, 3, 77, 91), score, window=(32, 40), overlap=0.25)
    assert shapes == {(32, 40)}


def test_scores_kept_at_a_time_do_not_grow_with_the_height() -> None:
    parts = [
        scores.shape[1]
        for _, scores in blend_windows(torch.rand(1, 3, 999, 33), convolve, window=(32, 32))
    ]
    assert max(parts) <= 32
    assert sum(parts) == 999


def test_centre_of_a_window_outweighs_its_edge() -> None:
    """Where windows disagree, the blend moves smoothly from one to the other."""
    count = iter(range(100))

    def score(part: Tensor) -> Tensor:
        return torch.full((1, 1, *part.shape[-2:]), float(next(count)))

    row = collect(torch.zeros(1, 3, 32, 96), score, window=(32, 64))[0, 0]
    assert row[:32].max() < 0.5
    assert (row.diff() >= 0).all()
    assert row.diff().max() < 0.2
    assert row[-16:].min() > 0.99


def test_bfloat16_scores_are_summed_in_float32() -> None:
    tiled = collect(
        torch.rand(1, 3, 50, 50), lambda part: convolve(part).bfloat16(), window=(32, 32)
    )
    assert tiled.dtype == torch.float32
