"""Pyramid pooling is its formula in all three forms, written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.formulas import fill, resize_corners

from segloom.models.networks.context import PyramidPooling


def average_bins(x, side):
    """Average into bins; a pixel on the border of two is in both."""
    channels, height, width = x.shape
    out = np.zeros((channels, side, side))
    for i in range(side):
        for j in range(side):
            top, bottom = i * height // side, -(-(i + 1) * height // side)
            left, right = j * width // side, -(-(j + 1) * width // side)
            out[:, i, j] = x[:, top:bottom, left:right].mean((1, 2))
    return out


@torch.no_grad()
@pytest.mark.parametrize("form", ["sfnet", "fenet", "sum"])
def test_pooling_is_its_formula(form):
    module = PyramidPooling(5, 3, form)
    layers = fill(module, 1)
    x = np.random.default_rng(0).normal(size=(5, 7, 10))
    averages = []
    for number, side in enumerate((1, 2, 4) if form == "sum" else (1, 2, 3, 6)):
        reduced = layers.stack(average_bins(x, side), f"branches.{number}", first=1)
        reduced = np.maximum(reduced, 0) if form == "fenet" else reduced
        averages.append(resize_corners(reduced, (7, 10)))
    if form == "sum":
        merged = layers.stack(x, "reduce") + sum(averages)
    else:
        merged = np.concatenate([x, *averages] if form == "fenet" else [*averages, x])
    expected = np.maximum(layers.stack(merged, "fuse"), 0)
    assert 0.1 < (expected > 0).mean() < 0.9
    found = module(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_whole_channels_are_dropped_in_training():
    torch.manual_seed(0)
    found = PyramidPooling(4, 64)(torch.randn(4, 4, 6, 6))
    whole = (found == 0).all((2, 3))
    assert whole.any()
    assert not whole.all()
