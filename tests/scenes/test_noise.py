"""Noise for surfaces: its scale, tiles without a seam, and windows of any size."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.scenes.noise import TILE, cloud_tile, cut_noise, grain_tile


@pytest.mark.parametrize("make", [cloud_tile, grain_tile])
def test_a_tile_has_mean_0_and_deviation_1(make):
    tile = make()
    assert tile.shape == (TILE, TILE)
    assert tile.dtype == np.float32
    assert tile.mean() == pytest.approx(0, abs=1e-4)
    assert tile.std() == pytest.approx(1, abs=1e-4)
    assert make() is tile


def test_clouds_are_coarser_than_grain():
    steps = [np.abs(np.diff(make(), axis=1)).mean() for make in (cloud_tile, grain_tile)]
    assert steps[0] < 0.5 * steps[1]


@pytest.mark.parametrize("axis", [0, 1])
def test_the_edge_of_a_tile_goes_on_at_the_other_side(axis):
    tile = np.moveaxis(cloud_tile(), axis, 0)
    across = np.abs(tile[0] - tile[-1]).mean()
    inside = np.abs(np.diff(tile, axis=0)).mean(1)
    assert across <= inside.max()
    assert across < 3 * inside.mean()


def find(tile, window):
    """Find where a window was cut out of a tile that goes on at its edges."""
    whole = np.tile(tile, (2, 2))
    rows, columns = np.nonzero(whole == window[0, 0])
    height, width = window.shape
    return [
        (r, c)
        for r, c in zip(rows, columns, strict=True)
        if (whole[r : r + height, c : c + width] == window).all()
    ]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (30, 40), (256, 256), (300, 10)])
def test_a_window_is_a_part_of_the_tile(height, width):
    rng = np.random.default_rng(0)
    window = cut_noise(grain_tile(), rng, height, width)
    assert window.shape == (height, width)
    assert find(grain_tile(), window[:256])


def test_windows_differ_and_follow_their_generator():
    def draw(seed):
        return cut_noise(cloud_tile(), np.random.default_rng(seed), 20, 20)

    assert (draw(1) == draw(1)).all()
    assert (draw(1) != draw(2)).any()


@pytest.mark.parametrize("zoom", [0.25, 3.0])
def test_a_zoom_is_of_cells_to_a_pixel(zoom):
    rng = np.random.default_rng(0)
    window = cut_noise(cloud_tile(), rng, 40, 60, zoom)
    plain = cut_noise(cloud_tile(), rng, 40, 60)
    assert window.shape == (40, 60)
    steps = [np.abs(np.diff(part, axis=1)).mean() for part in (window, plain)]
    assert (steps[0] < steps[1]) == (zoom < 1)
