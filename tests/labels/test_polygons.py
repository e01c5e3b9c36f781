"""Outlines drawn again give the pixels that they were traced from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segloom.data.sets.outlines import fill_polygon
from segloom.labels.polygons import Polygon, trace_polygons

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def draw(polygons: list[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw exteriors and take the holes out."""
    drawn = np.zeros(shape, bool)
    for polygon in polygons:
        own = fill_polygon(polygon.exterior, *shape)
        for hole in polygon.holes:
            own &= ~fill_polygon(hole, *shape)
        assert own.sum() == polygon.area
        assert not (drawn & own).any()
        drawn |= own
    return drawn


@settings(deadline=None, max_examples=300)
@given(masks)
def test_outlines_with_holes_draw_the_same_pixels(mask: NDArray[np.bool_]) -> None:
    assert (draw(trace_polygons(mask), mask.shape) == mask).all()


@settings(deadline=None, max_examples=300)
@given(masks)
def test_outlines_as_one_ring_draw_the_same_pixels(mask: NDArray[np.bool_]) -> None:
    drawn = np.zeros(mask.shape, bool)
    for polygon in trace_polygons(mask):
        drawn |= fill_polygon(polygon.ring, *mask.shape)
    assert (drawn == mask).all()


def test_a_square_with_a_hole() -> None:
    mask = np.zeros((6, 7), bool)
    mask[1:5, 2:6] = True
    mask[2, 3] = False
    (polygon,) = trace_polygons(mask)
    assert polygon.area == 15
    assert polygon.box == (2, 1, 4, 4)
    assert sorted(map(tuple, polygon.exterior.tolist())) == [(2, 1), (2, 5), (6, 1), (6, 5)]
    assert [sorted(map(tuple, hole.tolist())) for hole in polygon.holes] == [
        [(3, 2), (3, 3), (4, 2), (4, 3)]
    ]


def test_objects_and_holes_below_the_smallest_area_are_left_out() -> None:
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = True
    mask[2:7, 2:7] = True
    mask[4, 4] = False
    (polygon,) = trace_polygons(mask, min_area=2)
    assert (polygon.area, polygon.holes) == (24, ())


def test_simplification_moves_an_outline_by_no_more_than_the_tolerance() -> None:
    rows, columns = np.mgrid[:64, :64]
    disc = (rows - 31.5) ** 2 + (columns - 31.5) ** 2 < 28**2
    (exact,), (simple,) = trace_polygons(disc), trace_polygons(disc, tolerance=1.5)
    assert len(simple.exterior) < len(exact.exterior) / 3
    centre = simple.exterior - 32
    assert np.abs(np.hypot(*centre.T) - 28).max() < 2.5
    drawn = fill_polygon(simple.exterior, 64, 64)
    assert (drawn & disc).sum() / (drawn | disc).sum() > 0.95


@pytest.mark.parametrize("shape", [(1, 1), (5, 9)])
def test_an_empty_mask_has_no_outline_and_a_full_one_has_four_corners(
    shape: tuple[int, int],
) -> None:
    assert trace_polygons(np.zeros(shape, bool)) == []
    (polygon,) = trace_polygons(np.ones(shape, bool))
    assert len(polygon.exterior) == 4
    assert polygon.area == shape[0] * shape[1]
