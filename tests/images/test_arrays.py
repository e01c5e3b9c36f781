"""Images and label maps in memory: every form that is taken, and sentences for the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from segloom.errors import DataError
from segloom.images.arrays import is_tensor, label_map_of, pixels_of

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
GREY = RGB[..., 0]


@pytest.mark.parametrize(
    "image", [RGB, torch.from_numpy(RGB).permute(2, 0, 1), Image.fromarray(RGB)]
)
def test_colours_come_last_whatever_held_them(image):
    found = pixels_of(image)
    assert found.dtype == np.uint8
    assert (found == RGB).all()


@pytest.mark.parametrize("image", [GREY, GREY[..., None], torch.from_numpy(GREY)])
def test_grey_is_repeated_for_the_wanted_channels(image):
    assert (pixels_of(image) == GREY[..., None]).all()
    assert pixels_of(image).shape == (2, 3, 3)
    assert pixels_of(image, channels=5).shape == (2, 3, 5)
    assert pixels_of(image, channels=None).shape == (2, 3, 1)


def test_alpha_is_dropped_for_three_channels_alone():
    rgba = np.dstack([RGB, GREY])
    assert (pixels_of(rgba) == RGB).all()
    assert pixels_of(rgba, channels=4).shape == (2, 3, 4)
    assert pixels_of(rgba, channels=None).shape == (2, 3, 4)
    assert pixels_of(rgba, channels=5).shape == (2, 3, 4)  # whoever takes it refuses


def test_fractions_from_0_to_1_are_scaled_and_sixteen_bits_lose_the_low_byte():
    fractions = np.array([[0, 0.5, 1, 0.0019, 0.002]])
    assert pixels_of(fractions)[0, :, 0].tolist() == [0, 128, 255, 0, 1]
    assert pixels_of(np.array([[0, 255, 256, 65535]], np.uint16))[0, :, 0].tolist() == [
        0,
        0,
        1,
        255,
    ]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.array([[0.0, 1.01]]), r"float64 with values from 0 to 1\.01; numbers with a fraction"),
        (np.array([[-0.1, 1.0]]), r"values from -0\.1 to 1;"),
        (np.array([[0.0, np.nan]]), "with values from nan to nan"),
        (np.array([[1, 2]]), "is int64; give uint8, uint16, or floats from 0 to 1"),
        (np.zeros((3, 4, 5), np.uint8), r"shape \(3, 4, 5\); the channels come last"),
        (np.zeros(3, np.uint8), r"shape \(3,\); give \(height, width\) or"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\); give"),
        (np.zeros((1, 2, 3, 3), np.uint8), r"shape \(1, 2, 3, 3\); give"),
        ([[1, 2]], "is of type list; give an array, a tensor or a PIL image"),
    ],
)
def test_another_form_is_refused_by_name(image, message):
    with pytest.raises(DataError, match=f"^the photograph.*{message}"):
        pixels_of(image, name="the photograph")


@pytest.mark.parametrize(
    "mask",
    [GREY, torch.from_numpy(GREY)[None], GREY[..., None], GREY[None], Image.fromarray(GREY)],
)
def test_label_maps_lose_a_single_channel(mask):
    found = label_map_of(mask)
    assert found.dtype == np.uint8
    assert (found == GREY).all()


def test_label_maps_keep_their_integers_and_truth_values_become_0_and_1():
    deep = np.array([[300, -1]], np.int32)
    assert label_map_of(deep) is deep
    alone = label_map_of(np.array([[True, False]]))
    assert (alone.dtype, alone.tolist()) == (np.uint8, [[1, 0]])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 3)), r"is float64 of shape \(2, 3\); give class ids as whole numbers"),
        (np.zeros((2, 3, 4), np.uint8), r"is uint8 of shape \(2, 3, 4\)"),
        ("mask.png", "is of type str"),
    ],
)
def test_other_label_maps_are_refused(mask, message):
    with pytest.raises(DataError, match=f"^the label map {message}"):
        label_map_of(mask)


def test_tensors_are_told_from_arrays():
    assert is_tensor(torch.zeros(1))
    assert not is_tensor(GREY)
    assert not is_tensor(Image.fromarray(GREY))
