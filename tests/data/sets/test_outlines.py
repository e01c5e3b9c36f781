"""Outlines to pixels: by the place of every pixel's centre, and run lengths both ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segloom.data.sets.outlines import draw_outline, fill_polygon, read_runs, unpack_runs
from segloom.errors import DataError

corners = st.tuples(st.integers(-3, 12), st.integers(-3, 10))


def is_inside(x, y, points):
    """Count the edges to the right of a point that a ray crosses."""
    inside = False
    for (x1, y1), (x2, y2) in zip(points, [*points[1:], points[0]], strict=True):
        if (y1 <= y) != (y2 <= y) and x >= x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
    return inside


@given(st.lists(corners, min_size=3, max_size=7))
def test_a_pixel_is_inside_if_its_centre_is(points):
    # A little off the grid, so that no centre lies on an edge.
    moved = [(x + 0.013 * i, y + 0.017 * i) for i, (x, y) in enumerate(points, start=1)]
    found = fill_polygon(np.array(moved, float), 8, 9)
    expected = [[is_inside(c + 0.5, r + 0.5, moved) for c in range(9)] for r in range(8)]
    assert found.tolist() == expected


def test_a_square_holds_the_pixels_between_its_corners():
    found = draw_outline([[1, 2, 4, 2, 4, 5, 1, 5]], 6, 7, "x")
    expected = np.zeros((6, 7), bool)
    expected[2:5, 1:4] = True
    assert (found == expected).all()


def test_parts_are_united_and_those_of_one_or_two_points_left_out():
    parts = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3], [5, 5], [5, 5, 6, 6]]
    found = draw_outline(parts, 4, 4, "x")
    assert found.sum() == 4 + 4 - 1


AWAY = [9.0, 1.0, 12.0, 1.0, 12.0, 3.0]
BELOW = [1.0, 7.0, 3.0, 7.0, 3.0, 9.0]


@pytest.mark.parametrize("outline", [[AWAY], [BELOW], [AWAY, BELOW], [[-v for v in AWAY]]])
def test_a_shape_wholly_outside_its_image_is_refused(outline):
    with pytest.raises(DataError, match=r"^object 7 lies wholly outside the image of 8 x 6 pixels"):
        draw_outline(outline, 6, 8, "object 7")


def test_a_part_outside_and_a_sliver_on_the_side_are_no_fault():
    inside = [1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 3.0]
    assert draw_outline([inside, AWAY], 6, 8, "x").sum() == 4
    assert not draw_outline([[8.0, 1.0, 8.0, 3.0, 8.0, 4.0]], 6, 8, "x").any()
    across = [-4.0, -4.0, 20.0, -4.0, 20.0, 20.0, -4.0, 20.0]
    assert draw_outline([across], 6, 8, "x").all()


@pytest.mark.parametrize("outline", [None, [], 3, "x"])
def test_no_outline_is_refused(outline):
    with pytest.raises(DataError, match=r"^object 7 has no outline .*perhaps only a box"):
        draw_outline(outline, 4, 4, "object 7")


@pytest.mark.parametrize("outline", [[[1, 2, 3]], [["a", "b"]], [[1, 2]], [[1, 2, np.nan, 0, 5, 5]],
                                     [[0, 0, 2e7, 0, 5, 5]], [[1, 1, 2, 2]]])  # fmt: skip
def test_a_polygon_that_is_none_is_refused(outline):
    with pytest.raises(DataError, match=r"^object 7 has a polygon that is none .*three points"):
        draw_outline(outline, 4, 4, "object 7")


def test_a_polygon_that_would_take_hours_is_refused():
    long = np.tile([0.0, 0.0, 1.0, 30_000.0], 400).tolist()
    with pytest.raises(DataError, match="a polygon of 800 points that is too long"):
        draw_outline([long], 30_000, 4, "object 7")


def packed(lengths):
    """Write run lengths as COCO's text, by its definition."""
    text = ""
    for place, length in enumerate(lengths):
        value = length - lengths[place - 2] if place > 2 else length
        while True:
            bits, value = value & 31, value >> 5
            is_last = value == (-1 if bits & 16 else 0)
            text += chr(48 + bits + (0 if is_last else 32))
            if is_last:
                break
    return text


@given(st.lists(st.integers(0, 100_000), max_size=12))
def test_packed_runs_come_back(lengths):
    assert unpack_runs(packed(lengths)) == lengths


@pytest.mark.parametrize("text", ["o", "P", "\x1f", "p" * 20, "\u00e9"])
def test_text_that_is_no_runs_is_refused(text):
    with pytest.raises(ValueError):
        unpack_runs(text)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans())
def test_runs_go_down_the_columns_and_begin_with_background(height, width, seed, as_text):
    pixels = np.random.default_rng(seed).random((height, width)) < 0.5
    flat = pixels.T.ravel()
    lengths, current = [0], False
    for value in flat:
        if value != current:
            lengths.append(0)
            current = value
        lengths[-1] += 1
    counts = packed(lengths) if as_text else lengths
    assert (
        draw_outline({"size": [height, width], "counts": counts}, height, width, "x") == pixels
    ).all()


@pytest.mark.parametrize("counts", [[3], [5], [2, -1, 3], [2.0, 2.0], [True, 3], None, "o", {}])
def test_runs_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(DataError, match=r"^object 7 has run lengths that do not fill 2 x 2"):
        read_runs({"size": [2, 2], "counts": counts}, 2, 2, "object 7")


def test_runs_of_another_size_are_refused():
    with pytest.raises(DataError, match=r"of the size \[2, 3\], not \[3, 2\]; export them again"):
        read_runs({"size": [2, 3], "counts": [6]}, 3, 2, "object 7")
