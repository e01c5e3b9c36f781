"""FEM-D and FEM-S are their formulas, written out in float64; no recorded array is needed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.formulas import Array, Layers, fill, filter_channels, resize_corners

from segloom.blocks.fem import DetailEnhance, FrequencyFilter, StructureEnhance

CHANNELS = 3
FINE, COARSE = (12, 14), (6, 7)


def maps() -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(CHANNELS, *FINE)), rng.normal(size=(CHANNELS, *COARSE))


def run(module: torch.nn.Module, *arrays: Array) -> Array:
    with torch.no_grad():
        return module(*(torch.from_numpy(array)[None] for array in arrays))[0].numpy()


def extract(layers: Layers, x: Array, kind: str) -> Array:
    low = filter_channels(x, layers["filter.weight"])
    return low if kind == "lowpass" else x - low


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def enhance(layers: Layers, details: Array, base: Array) -> Array:
    """``ReLU(BN(conv(ReLU(BN(Res(ReLU(BN(conv(d)))) + s)))))``, the module's own formula."""
    z = relu(layers.stack(details, "merge"))
    inner = relu(layers.stack(z, "residual"))
    z = relu(layers.stack(inner, "residual", first=3) + z)
    z = relu(layers.normalize(z + base, "norm"))
    return relu(layers.stack(z, "fuse"))


@pytest.mark.parametrize("kind", ["highpass", "lowpass", "fixed"])
def test_filter_is_its_formula_and_begins_as_the_average_of_its_window(kind) -> None:
    module = FrequencyFilter(CHANNELS, kind)
    assert torch.equal(module.weight, torch.full((CHANNELS, 1, 9, 9), 1 / 81))
    layers, (fine, _) = fill(module), maps()
    low = filter_channels(fine, layers["weight"])
    expected = low if kind == "lowpass" else fine - low
    np.testing.assert_allclose(run(module, fine), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["highpass", "lowpass"])
def test_detail_enhancement_is_its_formula(kind) -> None:
    module, (low, high) = DetailEnhance(CHANNELS, kind), maps()
    layers = fill(module)
    fine = resize_corners(extract(layers, low, kind), COARSE)
    details = np.concatenate([extract(layers, high, kind), fine])
    expected = enhance(layers, details, high)
    assert (expected > 0).mean() > 0.2
    np.testing.assert_allclose(run(module, low, high), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["highpass", "lowpass"])
def test_structure_enhancement_is_its_formula(kind) -> None:
    module, (low, high) = StructureEnhance(CHANNELS, kind), maps()
    layers = fill(module)
    coarse = resize_corners(extract(layers, high, kind), FINE)
    details = np.concatenate([extract(layers, low, kind), coarse])
    expected = enhance(layers, details, resize_corners(high, FINE))
    assert (expected > 0).mean() > 0.2
    np.testing.assert_allclose(run(module, low, high), expected, rtol=1e-10, atol=1e-10)
