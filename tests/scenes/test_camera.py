"""The pinhole camera: distances, heights and bends by hand, and the ground under pixels."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.scenes.camera import NEAR, Camera

STRAIGHT = Camera(
    height=120, width=160, focal=100.0, horizon=50.0, middle=80.0, eye=1.5, offset=0.0, turn=0.0,
    bend=0.0,
)  # fmt: skip
BENT = Camera(120, 160, 90.0, 47.5, 81.0, 1.4, offset=0.7, turn=0.05, bend=0.004)


def test_a_point_moves_towards_the_horizon_as_it_goes_away():
    points = STRAIGHT.project([2.0, 2.0, 2.0], 0.0, [10.0, 20.0, 1000.0])
    assert points.shape == (3, 2)
    np.testing.assert_allclose(points, [(100, 65), (90, 57.5), (80.2, 50.15)])


def test_what_is_as_high_as_the_eye_is_on_the_horizon_and_higher_things_above():
    rows = STRAIGHT.project(0.0, [1.5, 3.0], 10.0)[:, 1]
    assert rows.tolist() == [50, 35]


def test_nothing_is_seen_nearer_than_the_nearest():
    assert (STRAIGHT.project(1.0, 0.0, 0.1) == STRAIGHT.project(1.0, 0.0, NEAR)).all()
    assert STRAIGHT.scale(0.1) == 100 / NEAR
    assert STRAIGHT.scale(10.0) == 10


def test_the_street_moves_sideways_by_its_turn_and_its_bend():
    assert BENT.sideways(10.0) == pytest.approx(0.5 + 0.4 - 0.7)
    assert BENT.sideways([0.0, 20.0]).tolist() == pytest.approx([-0.7, 1.0 + 1.6 - 0.7])


@pytest.mark.parametrize("camera", [STRAIGHT, BENT])
def test_the_ground_under_a_pixel_is_seen_at_that_pixel(camera):
    first, x, z = camera.ground()
    assert x.shape == (120 - first, 160)
    assert z.shape == (120 - first, 1)
    assert first > camera.horizon
    seen = z[:, 0] >= NEAR
    depth = np.broadcast_to(z, x.shape)[seen]
    points = camera.project(x[seen], 0.0, depth)
    rows, columns = np.indices(x.shape)
    np.testing.assert_allclose(points[..., 1], rows[seen] + first, atol=1e-3)
    np.testing.assert_allclose(points[..., 0], columns[seen], atol=1e-2)
    assert (np.diff(z[:, 0]) < 0).all()


def test_a_horizon_above_the_image_leaves_ground_everywhere():
    camera = Camera(20, 30, 100.0, -15.0, 15.0, 1.5, 0.0, 0.0, 0.0)
    first, x, _ = camera.ground()
    assert (first, len(x)) == (0, 20)
