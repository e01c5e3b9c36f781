"""Resizing and warping: corners, borders, types, gradients, and sizes of a single pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.formulas import resize_corners, sample_along

from segloom.ops.resize import resize, warp


def drawn(*size):
    return torch.from_numpy(np.random.default_rng(0).normal(size=size))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (4, 5), (13, 3)])
@pytest.mark.parametrize("source", [(4, 5), (1, 3), (2, 2)])
def test_resizing_is_its_formula(source, size):
    found = resize(drawn(2, 3, *source), size)
    for one, map_ in zip(found, drawn(2, 3, *source), strict=True):
        np.testing.assert_allclose(one, resize_corners(map_.numpy(), size), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (6, 4), (3, 9)])
def test_no_flow_is_resizing(size):
    source = drawn(1, 2, 5, 7)
    found = warp(source, torch.zeros(1, 2, *size, dtype=torch.float64))
    torch.testing.assert_close(found, resize(source, size))


@pytest.mark.parametrize("size", [(5, 8), (1, 6), (7, 1)])
def test_warping_is_its_formula_in_every_image(size):
    source, flow = drawn(2, 3, 4, 6), 3 * drawn(2, 2, *size)
    found = warp(source, flow)
    for one, map_, field in zip(found, source, flow, strict=True):
        expected = sample_along(map_.numpy(), field.numpy())
        np.testing.assert_allclose(one, expected, rtol=1e-9, atol=1e-12)


def test_the_first_channel_of_a_flow_points_right_and_the_second_down():
    source = torch.arange(20.0).view(1, 1, 4, 5)
    right, down = torch.zeros(1, 2, 4, 5), torch.zeros(1, 2, 4, 5)
    right[:, 0] = 2 * 5 / 4  # a unit is W / (W - 1) times half a pixel
    down[:, 1] = 2 * 4 / 3
    torch.testing.assert_close(warp(source, right)[..., :-1], source[..., 1:])
    torch.testing.assert_close(warp(source, down)[..., :-1, :], source[..., 1:, :])
    assert warp(source, 100 * right + 100 * down).eq(0).all()


def test_half_precision_keeps_its_type_and_sees_neighbours_of_a_long_row():
    source = torch.arange(512.0).view(1, 1, 1, 512).remainder(2)
    found = warp(source.bfloat16(), torch.zeros(1, 2, 1, 512, dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), source, rtol=0, atol=1e-2)


def test_gradients_of_both_are_right_to_the_last_digit():
    flow = (0.3 * drawn(1, 2, 4, 5)).requires_grad_()
    source = drawn(1, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(warp, (source, flow))
    assert torch.autograd.gradcheck(lambda x: resize(x, (5, 2)), (source,))
