"""Joint transforms keep image and label map together and invent no labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segloom.config.data import AugmentConfig
from segloom.data.planes import Planes
from segloom.data.transforms import (
    FILL,
    Draws,
    JointTransform,
    draw,
    flip,
    jitter,
    sample_generator,
)

STILL = AugmentConfig(scale=(1, 1), flip=0, jitter=0, blur=0)
SHAPES = AugmentConfig(scale=(0.4, 2.5), flip=0.5, rotate=30, jitter=0, blur=0)
CODES = np.array(
    [(30, 60, 90), (200, 10, 90), (90, 250, 30), (10, 10, 240), (250, 250, 10)], np.uint8
)
"""Colour of each class in images that encode their own label map."""


def blocks(height: int, width: int, seed: int, *, edge: bool = False) -> Planes:
    """Make a map of class blocks of 8 pixels with some void, and the image that encodes it."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 4, (-(-height // 8), -(-width // 8)), np.uint8)
    coarse[random.random(coarse.shape) < 0.1] = 255
    mask = np.kron(coarse, np.ones((8, 8), np.uint8))[:height, :width]
    image = CODES[np.where(mask == 255, 4, mask)]
    return Planes(image, np.ascontiguousarray(mask), image[..., 1].copy() if edge else None)


def inside(mask: np.ndarray, margin: int = 2) -> np.ndarray:
    """Mark the pixels whose neighbourhood has one label and is no border."""
    import cv2

    size = (2 * margin + 1,) * 2
    kernel = np.ones(size, np.uint8)
    flat = cv2.erode(mask, kernel) == cv2.dilate(mask, kernel)
    flat[:margin] = flat[-margin:] = flat[:, :margin] = flat[:, -margin:] = False
    return flat


sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))
crops = st.none() | st.tuples(st.integers(1, 90), st.integers(1, 90))
seeds = st.integers(0, 2**40)


@settings(deadline=None, max_examples=150)
@given(size=sizes, crop=crops, seed=seeds, rotate=st.sampled_from([0, 30, 180]))
def test_sizes_and_label_values_are_those_asked_for(size, crop, seed, rotate):
    planes = blocks(*size, seed, edge=True)
    config = AugmentConfig(scale=(0.3, 3), flip=0.5, rotate=rotate, jitter=0.8, blur=0.5)
    before = [plane.copy() for plane in planes]
    view = JointTransform(config, crop)(planes, sample_generator(seed, 0, 0))
    assert view.mask.shape == view.edge.shape == (crop or size)
    assert view.image.shape == (*(crop or size), 3)
    assert set(np.unique(view.mask)) <= {*np.unique(planes.mask).tolist(), 255}
    for plane, copy in zip(planes, before, strict=True):
        np.testing.assert_array_equal(plane, copy)
    for plane in view:
        assert plane.dtype == np.uint8
        assert plane.flags.c_contiguous
        assert plane.flags.writeable


@settings(deadline=None, max_examples=150)
@given(size=sizes, crop=crops, seed=seeds, rotate=st.sampled_from([0, 45]))
def test_image_edges_and_label_map_stay_aligned(size, crop, seed, rotate):
    planes = blocks(*size, seed, edge=True)
    config = SHAPES.model_copy(update={"rotate": rotate})
    view = JointTransform(config, crop)(planes, sample_generator(seed, 3, 7))
    sure = inside(view.mask) & (view.mask != 255)
    expected = CODES[np.where(view.mask == 255, 4, view.mask)]
    difference = np.abs(view.image.astype(int) - expected)[sure]
    assert (difference <= 1).all()
    np.testing.assert_array_equal(view.edge[sure], view.image[sure][:, 1])


@settings(deadline=None, max_examples=60)
@given(size=sizes, seed=seeds)
def test_flipping_twice_changes_nothing(size, seed):
    planes = blocks(*size, seed, edge=True)
    once = flip(planes)
    np.testing.assert_array_equal(once.mask, planes.mask[:, ::-1])
    for plane, again in zip(planes, flip(once), strict=True):
        np.testing.assert_array_equal(plane, again)


@settings(deadline=None, max_examples=60)
@given(size=sizes, seed=seeds)
def test_without_options_and_crop_nothing_changes(size, seed):
    planes = blocks(*size, seed)
    view = JointTransform(STILL)(planes, sample_generator(seed, 0, 0))
    np.testing.assert_array_equal(view.image, planes.image)
    np.testing.assert_array_equal(view.mask, planes.mask)


@settings(deadline=None, max_examples=60)
@given(size=sizes, crop=st.tuples(st.integers(1, 90), st.integers(1, 90)), seed=seeds)
def test_a_crop_shows_a_part_of_the_image_and_void_beside_it(size, crop, seed):
    height, width = size
    # Every pixel names its own place.
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    image = np.stack([rows, columns, np.full_like(rows, 77)], axis=2)
    view = JointTransform(STILL, crop)(
        Planes(image, np.zeros(size, np.uint8)), sample_generator(seed, 0, 0)
    )
    shown = view.mask == 0
    assert shown.sum() == min(height, crop[0]) * min(width, crop[1])
    assert (view.image[~shown] == FILL).all()
    part = view.image[shown].reshape(min(height, crop[0]), min(width, crop[1]), 3)
    top, left = part[0, 0, :2]
    np.testing.assert_array_equal(
        part, image[top : top + part.shape[0], left : left + part.shape[1]]
    )


def test_crops_reach_every_corner():
    rows, columns = np.mgrid[:6, :6].astype(np.uint8)
    planes = Planes(np.stack([rows, columns, rows], axis=2), np.zeros((6, 6), np.uint8))
    transform = JointTransform(STILL, (4, 4))
    views = [transform(planes, sample_generator(0, 0, n)).image for n in range(200)]
    assert {tuple(view[0, 0, :2].tolist()) for view in views} == {
        (row, column) for row in range(3) for column in range(3)
    }


def test_a_half_turn_of_a_whole_image_turns_every_pixel():
    planes = blocks(24, 40, 0)
    view = JointTransform(STILL).apply(planes, Draws(angle=180.0))
    np.testing.assert_array_equal(view.mask, planes.mask[::-1, ::-1])
    np.testing.assert_array_equal(view.image, planes.image[::-1, ::-1])


def test_a_quarter_turn_is_counter_clockwise():
    planes = blocks(24, 24, 0)
    view = JointTransform(STILL).apply(planes, Draws(angle=90.0))
    np.testing.assert_array_equal(view.mask, np.rot90(planes.mask))


def test_images_longer_than_opencv_can_warp_are_rotated():
    planes = Planes(np.zeros((2, 33000, 3), np.uint8), np.ones((2, 33000), np.uint8))
    view = JointTransform(STILL, (8, 8)).apply(planes, Draws(angle=10.0))
    assert (view.mask == 1).any()


@pytest.mark.parametrize("zoom", [1 / 3, 3.0])
@pytest.mark.parametrize("step", range(7, 13))
@pytest.mark.parametrize("is_turned", [False, True])
def test_borders_of_labels_lie_on_borders_of_the_image_to_the_pixel(zoom, step, is_turned):
    mask = np.zeros((30, 30), np.uint8)
    (mask.T if is_turned else mask)[step:] = 1
    planes = Planes(np.repeat(mask[..., None] * 255, 3, axis=2), mask)
    view = JointTransform(STILL, (90, 90)).apply(planes, Draws(zoom=zoom))
    seen = view.mask != 255
    assert seen.sum() == round(30 * zoom) ** 2
    np.testing.assert_array_equal((view.image[..., 0] > 127)[seen], view.mask[seen] == 1)


def test_jitter_changes_the_image_alone():
    planes = blocks(40, 40, 0)
    config = STILL.model_copy(update={"jitter": 0.5})
    view = JointTransform(config)(planes, sample_generator(0, 0, 0))
    np.testing.assert_array_equal(view.mask, planes.mask)
    assert np.abs(view.image.astype(int) - planes.image).mean() > 5


def test_each_part_of_the_jitter_does_what_it_is_called():
    image = np.full((8, 8, 3), (180, 90, 60), np.uint8)
    image[4:] = (40, 80, 120)
    grey = np.array([0.299, 0.587, 0.114])
    brighter = jitter(image, Draws(brightness=1.2))
    np.testing.assert_allclose(brighter, image * 1.2, atol=1)
    flat = jitter(image, Draws(contrast=0.0001))
    assert np.ptp(flat) <= 1
    dull = jitter(image, Draws(saturation=0.0001)).astype(float)
    np.testing.assert_allclose(dull, np.repeat((image @ grey)[..., None], 3, 2), atol=2)
    turned = jitter(image, Draws(hue=120.0))
    np.testing.assert_allclose(turned @ grey, image @ grey, atol=2)
    assert np.abs(turned.astype(int) - image).max() > 40
    assert jitter(image, Draws()) is image


def test_blur_smooths_the_image_alone():
    planes = blocks(40, 40, 0)
    view = JointTransform(STILL).apply(planes, Draws(sigma=1.5))
    np.testing.assert_array_equal(view.mask, planes.mask)
    rough, smooth = (
        np.abs(np.diff(x.astype(int), axis=1)).max() for x in (planes.image, view.image)
    )
    assert smooth < rough


def test_draws_are_a_function_of_seed_epoch_and_index():
    config = AugmentConfig()
    drawn = {
        key: draw(config, sample_generator(*key))
        for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (2**32, 0, 0), (0, 2**32, 0)]
    }
    assert len(set(drawn.values())) == len(drawn)
    for key, value in drawn.items():
        assert draw(config, sample_generator(*key)) == value


def test_draws_keep_to_their_ranges_and_use_them():
    config = AugmentConfig(scale=(0.5, 2), flip=0.25, rotate=10, jitter=0.2, blur=0.3)
    drawn = [draw(config, sample_generator(0, 0, n)) for n in range(2000)]
    zooms = [d.zoom for d in drawn]
    assert 0.5 <= min(zooms) < 0.52
    assert 1.95 < max(zooms) <= 2
    assert np.mean([zoom < 1 for zoom in zooms]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([d.is_flipped for d in drawn]) == pytest.approx(0.25, abs=0.04)
    assert np.mean([d.sigma > 0 for d in drawn]) == pytest.approx(0.3, abs=0.04)
    assert max(abs(d.angle) for d in drawn) <= 10
    assert max(abs(np.log(d.contrast)) for d in drawn) <= 0.2
    assert max(d.sigma for d in drawn) <= 1.5


def test_an_option_that_is_off_leaves_the_other_draws_as_they_were():
    whole = draw(AugmentConfig(), sample_generator(0, 0, 5))
    without = draw(AugmentConfig(flip=0, blur=0), sample_generator(0, 0, 5))
    assert (without.zoom, without.hue) == (whole.zoom, whole.hue)
    assert not without.is_flipped
    assert without.sigma == 0
