"""Colours of classes: names of the background, void beside any colours, and how far they differ."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.errors import ConfigError
from segloom.labels.palette import (
    ALIKE,
    CLEAR,
    VOIDS,
    _oklab,
    background_of,
    class_palette,
    default_palette,
    void_color,
)


@pytest.mark.parametrize(
    ("classes", "place"),
    [
        (("background", "cell"), 0),
        (("cell", "Background"), 1),
        (("cell", "_BACKGROUND_", "background"), 1),
        (("cell", "backgrounds"), None),
        ((), None),
    ],
)
def test_the_background_is_known_by_its_names(classes, place):
    assert background_of(classes) == place


@pytest.mark.parametrize("place", [0, 1, 3])
def test_the_background_is_black_and_takes_no_colour_from_the_others(place):
    names = ["a", "b", "c"]
    names.insert(place, "background")
    colors = list(class_palette(names))
    assert colors.pop(place) == (0, 0, 0)
    assert tuple(colors) == default_palette(3)


def test_a_background_alone_is_black():
    assert class_palette(("background",)) == ((0, 0, 0),)
    assert class_palette(("a", "b")) == default_palette(2)


@pytest.mark.parametrize("number", [0, 256])
def test_a_palette_of_no_or_too_many_colours_is_refused(number):
    with pytest.raises(ConfigError, match=rf"1 to 255 colours, not {number}\."):
        default_palette(number)


def test_a_new_colour_is_the_farthest_from_black_and_from_those_before():
    """Among the colours of a 9 x 9 x 9 grid that are neither dark nor light."""
    colors = default_palette(12)
    assert colors[:7] == CLEAR
    steps = np.linspace(0, 255, 9).round()
    grid = np.array([(r, g, b) for r in steps for g in steps for b in steps], np.uint8)
    lab = _oklab(grid)
    for number in range(7, 12):
        taken = _oklab(np.array([(0, 0, 0), *colors[:number]], np.uint8))
        distances = np.linalg.norm(lab[:, None] - taken[None], axis=2).min(1)
        distances[(lab[:, 0] <= 0.35) | (lab[:, 0] >= 0.95)] = 0
        own = np.flatnonzero((grid == colors[number]).all(1))
        assert distances[own] == distances.max()


def test_the_first_seven_are_those_of_okabe_and_ito():
    published = ["56B4E9", "E69F00", "009E73", "CC79A7", "F0E442", "0072B2", "D55E00"]
    assert [bytes(color).hex().upper() for color in default_palette(7)] == published


def test_lightness_of_white_is_one_and_grey_has_no_hue():
    """As the author's page has it: white is (1, 0, 0), red is (0.628, 0.225, 0.126)."""
    lab = _oklab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [10, 10, 10]], np.uint8))
    np.testing.assert_allclose(lab[0], (1, 0, 0), atol=1e-6)
    np.testing.assert_allclose(lab[1], (0, 0, 0), atol=1e-12)
    np.testing.assert_allclose(lab[2], (0.6279554, 0.2248631, 0.1258463), atol=1e-6)
    # Below a value of 0.04045 sRGB is linear.
    np.testing.assert_allclose(lab[3], (np.cbrt(10 / 255 / 12.92), 0, 0), atol=1e-7)


def test_void_is_black_unless_a_class_looks_like_it():
    assert void_color([(255, 0, 0)]) == VOIDS[0]
    assert void_color([(0, 0, 0)]) == VOIDS[1]
    assert void_color([(0, 0, 0), (224, 224, 192)]) == VOIDS[2]
    assert void_color([*VOIDS[:3]]) == VOIDS[3]


def test_void_among_all_its_colours_is_the_one_least_like_a_class():
    near = [tuple(max(0, c - 12) for c in color) for color in VOIDS]
    near[1] = (224, 190, 150)  # farther off than the others, but still alike
    lab = _oklab(np.array([*near, *VOIDS], np.uint8))
    distances = np.linalg.norm(lab[4:, None] - lab[None, :4], axis=2).min(1)
    assert (distances < ALIKE).all()
    assert distances.argmax() == 1
    assert void_color(near) == VOIDS[1]
