"""The picture under construction: haze, areas, clipping, and labels that go with the colours."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segloom.scenes.canvas import CAR, POLE, ROAD, SIGN, VOID, Canvas

HAZE = (200.0, 210.0, 220.0)


@pytest.fixture
def canvas():
    image = np.full((20, 30, 3), 50, np.uint8)
    return Canvas(image, np.full((20, 30), VOID, np.uint8), HAZE, sight=100.0)


def painted(canvas, label):
    """Rows and columns that a label fills, first and last."""
    rows, columns = np.nonzero(canvas.labels == label)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_a_colour_fades_to_the_haze_with_distance(canvas):
    assert canvas.faded((10, 20, 30), 0) == (10, 20, 30)
    share = 1 - math.exp(-1)
    assert canvas.faded((0, 0, 0), 100) == pytest.approx([share * mist for mist in HAZE])
    assert canvas.faded((0, 0, 0), 1e6) == pytest.approx(HAZE)
    assert canvas.faded((-20, 300, 0), 0) == (0, 255, 0)


def test_a_polygon_fills_its_pixels_with_colour_and_label(canvas):
    canvas.polygon([(5, 3), (9, 3), (9, 7), (5, 7)], (255, 0, 0), 0, CAR)
    assert painted(canvas, CAR) == (3, 7, 5, 9)
    assert canvas.image[5, 7].tolist() == [255, 0, 0]
    assert canvas.image[15, 20].tolist() == [50, 50, 50]


def test_colour_or_label_alone_leaves_the_other(canvas):
    square = [(5, 3), (9, 3), (9, 7), (5, 7)]
    canvas.polygon(square, None, 0, ROAD)
    assert (canvas.image == 50).all()
    assert (canvas.labels == ROAD).sum() == 25
    canvas.polygon(square, (0, 0, 255), 0)
    assert canvas.image[5, 7].tolist() == [0, 0, 255]
    assert (canvas.labels == ROAD).sum() == 25


def test_points_far_outside_are_moved_in_and_do_not_overflow(canvas):
    canvas.polygon([(-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)], (1, 2, 3), 0, ROAD)
    assert (canvas.labels == ROAD).all()


def test_a_hull_has_no_dent(canvas):
    canvas.hull([(2, 2), (12, 2), (12, 12), (2, 12), (7, 7)], (9, 9, 9), 0, CAR)
    assert (canvas.labels[2:13, 2:13] == CAR).all()


def test_an_ellipse_has_its_axes(canvas):
    canvas.ellipse((15, 10), (8, 4), (9, 9, 9), 0, SIGN)
    top, bottom, left, right = painted(canvas, SIGN)
    assert (top, bottom, left, right) == (6, 14, 7, 23)
    assert canvas.labels[6, 7] == VOID


@pytest.mark.parametrize(("width", "least", "most"), [(0.2, 1, 1), (1, 1, 1), (5, 5, 7)])
def test_a_line_is_as_thick_as_asked_and_a_pixel_at_least(canvas, width, least, most):
    """The rasteriser adds a pixel on either side of a thick line."""
    canvas.line([(2, 10), (25, 10)], width, (9, 9, 9), 0, POLE)
    assert least <= (canvas.labels[:, 12] == POLE).sum() <= most


@pytest.mark.parametrize(("top", "left"), [(2, 3), (-2, -1), (17, 27), (40, 3), (3, -40)])
def test_what_is_blended_or_stamped_is_clipped_at_the_border(canvas, top, left):
    alpha, area = np.full((4, 5), 0.5, np.float32), np.ones((4, 5), bool)
    canvas.blend(top, left, np.full((4, 5, 3), 150, np.float32), alpha)
    canvas.stamp(top, left, area, CAR)
    for row in range(20):
        for column in range(30):
            inside = top <= row < top + 4 and left <= column < left + 5
            assert canvas.image[row, column, 0] == (100 if inside else 50)
            assert canvas.labels[row, column] == (CAR if inside else VOID)


def test_blended_colours_are_bounded_and_stamps_have_their_shape(canvas):
    colours = np.zeros((1, 2, 3), np.float32)
    colours[0, 0], colours[0, 1] = 900, -900
    canvas.blend(0, 0, colours, np.ones((1, 2), np.float32))
    assert canvas.image[0, :2, 1].tolist() == [255, 0]
    canvas.stamp(0, 0, np.array([[True, False, True]]), ROAD)
    assert canvas.labels[0, :4].tolist() == [ROAD, VOID, ROAD, VOID]


def test_a_texture_lies_on_its_corners_and_holes_keep_the_label(canvas):
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:, :4] = 240
    cover = np.full((8, 8), 255, np.uint8)
    cover[4:] = 0
    canvas.panel(texture, [(4, 2), (20, 2), (20, 18), (4, 18)], 0, SIGN, cover)
    assert painted(canvas, SIGN) == (2, 18, 4, 20)
    assert canvas.image[5, 7].tolist() == [240] * 3
    assert canvas.image[5, 17].tolist() == [0] * 3
    assert canvas.image[15, 7].tolist() == [50] * 3  # seen through


def test_a_texture_outside_changes_nothing(canvas):
    canvas.panel(np.zeros((4, 4, 3), np.uint8), [(50, 5), (60, 5), (60, 9), (50, 9)], 0, SIGN)
    assert (canvas.image == 50).all()
    assert (canvas.labels == VOID).all()
