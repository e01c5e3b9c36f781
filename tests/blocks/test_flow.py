"""FAM and GD-FAM are their formulas, written out in float64; no recorded array is needed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.formulas import Array, fill, resize_corners, sample_along

from segloom.blocks.flow import FlowAlign, FlowJoin, GatedDualFlowAlign
from segloom.ops.resize import resize, warp

CHANNELS = 4
FINE, COARSE = (6, 8), (3, 4)


def maps() -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(CHANNELS, *FINE)), rng.normal(size=(CHANNELS, *COARSE))


def run(module: torch.nn.Module, *arrays: Array) -> Array:
    with torch.no_grad():
        return module(*(torch.from_numpy(array)[None] for array in arrays))[0].numpy()


def test_warping_looks_where_the_flow_points_and_sees_zeros_outside() -> None:
    source = maps()[1]
    flow = np.random.default_rng(2).normal(0, 4, (2, 5, 7))
    expected = sample_along(source, flow)
    assert (expected == 0).all(0).any()
    found = warp(torch.from_numpy(source)[None], torch.from_numpy(flow)[None])[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_resizing_puts_corners_on_corners() -> None:
    source = maps()[1]
    found = resize(torch.from_numpy(source)[None], (7, 5))[0].numpy()
    np.testing.assert_allclose(found, resize_corners(source, (7, 5)), rtol=1e-12, atol=1e-12)
    assert (found[:, 0, 0] == source[:, 0, 0]).all()


@pytest.mark.parametrize("kind", [FlowAlign, FlowJoin])
def test_flow_alignment_is_its_formula(kind) -> None:
    module, (low, high) = kind(CHANNELS), maps()
    layers = fill(module, 3)
    coarse = resize_corners(layers.convolve(high, "reduce_high"), FINE)
    flow = layers.convolve(np.concatenate([coarse, layers.convolve(low, "reduce_low")]), "flow")
    expected = sample_along(high, flow)
    if kind is FlowJoin:
        expected = low + expected
    assert np.abs(flow).max() > 1
    np.testing.assert_allclose(run(module, low, high), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("summarize", [True, False])
def test_gated_dual_alignment_is_its_formula(summarize) -> None:
    module, (low, high) = GatedDualFlowAlign(CHANNELS, summarize=summarize), maps()
    layers = fill(module, 4)
    coarse = resize_corners(layers.convolve(high, "reduce_high"), FINE)
    both = np.concatenate([coarse, layers.convolve(low, "reduce_low")])
    flow = layers.convolve(both, "flow")
    seen = both
    if summarize:
        seen = np.stack([coarse.mean(0), low.mean(0), coarse.max(0), low.max(0)])
    gate = 1 / (1 + np.exp(-layers.convolve(seen, "gate")))
    expected = gate * sample_along(high, flow[:2]) + (1 - gate) * sample_along(low, flow[2:])
    assert gate.std() > 0.05
    np.testing.assert_allclose(run(module, low, high), expected, rtol=1e-10, atol=1e-10)
