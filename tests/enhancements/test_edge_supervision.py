"""Edge supervision is its formula, pixel by pixel; in evaluation it does nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.formulas import fill, resize_corners

from segloom.enhancements.edge_supervision import (
    EdgeSupervisionConfig,
    edge_map_loss,
    inner_boundaries,
)
from segloom.errors import ConfigError
from segloom.types import FeatureSpec, ModelShape

LEVELS = (FeatureSpec(0, 3, 1), FeatureSpec(1, 4, 2), FeatureSpec(2, 5, 4), FeatureSpec(3, 6, 8))


def build(**options):
    module = EdgeSupervisionConfig(**options).build(ModelShape(3, 4, LEVELS, 16))
    return module, fill(module, 2)


def labels(*size):
    target = np.random.default_rng(0).integers(0, 4, (*size[:-2], size[-2] // 2, size[-1] // 2))
    target = np.kron(target, np.ones((2, 2), int))
    target[..., :2, :5] = 255
    return target


def edges_of(target, background):
    """A pixel is one if a neighbour above, below, left or right has another label."""
    height, width = target.shape
    found = np.zeros((height, width), bool)
    for i in range(height):
        for j in range(width):
            near = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            inside = [(r, c) for r, c in near if 0 <= r < height and 0 <= c < width]
            found[i, j] = any(target[place] != target[i, j] for place in inside)
            if background and target[i, j] == 0:
                found[i, j] = False
    return found


@pytest.mark.parametrize("background", [True, False])
def test_edges_are_pixels_with_another_label_beside_them(background):
    target = labels(2, 8, 12)
    found = inner_boundaries(torch.from_numpy(target), background=background).numpy()
    for one, map_ in zip(found, target, strict=True):
        assert (one == edges_of(map_, background)).all()
    assert 0 < found.mean() < 1


def test_maps_of_a_single_row_or_column_have_edges_along_them():
    row = torch.tensor([[[1, 1, 2, 2]]])
    assert inner_boundaries(row, background=True).tolist() == [[[False, True, True, False]]]
    column = row.transpose(1, 2)
    assert inner_boundaries(column, background=True).flatten().tolist() == [
        False,
        True,
        True,
        False,
    ]


@torch.no_grad()
def test_the_side_output_is_its_formula():
    module, layers = build()
    rng = np.random.default_rng(1)
    fine, coarse = rng.normal(size=(5, 8, 10)), rng.normal(size=(6, 4, 5))
    first = np.maximum(layers.convolve(fine, "side.0"), 0)
    second = np.maximum(layers.convolve(coarse, "side.1"), 0)
    both = np.concatenate([resize_corners(second, (8, 10)), first])
    expected = layers.convolve(both, "fuse")
    found = module.detect(torch.from_numpy(fine)[None], torch.from_numpy(coarse)[None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert first.any()
    assert second.any()


def balanced(probability, edges):
    """Sum image by image; each edge weighs by the share of the others, and they by its own."""
    total = 0.0
    for chances, is_edge in zip(probability, edges, strict=True):
        share = is_edge.mean()
        for p, edge in zip(chances.ravel(), is_edge.ravel(), strict=True):
            total += -(1 - share) * math.log(p) if edge else -share * math.log(1 - p)
    return total / edges.size


def test_the_loss_balances_edges_image_by_image():
    rng = np.random.default_rng(3)
    probability = rng.uniform(0.05, 0.95, (2, 1, 4, 6))
    edges = (rng.uniform(size=(2, 1, 4, 6)) < np.array([0.2, 0.7])[:, None, None, None]) * 1.0
    found = edge_map_loss(torch.from_numpy(probability), torch.from_numpy(edges)).item()
    assert found == pytest.approx(balanced(probability, edges), rel=1e-12)


@pytest.mark.parametrize("background", [True, False])
def test_the_loss_of_the_labels_is_of_probabilities_at_full_size(background):
    module, _ = build(background=background)
    target = labels(2, 8, 12)
    logits = np.random.default_rng(4).normal(size=(2, 1, 4, 6))
    probability = np.stack([resize_corners(1 / (1 + np.exp(-one)), (8, 12)) for one in logits])
    edges = np.stack([edges_of(one, background) for one in target])[:, None]
    found = module.loss(torch.from_numpy(logits), torch.from_numpy(target)).item()
    assert found == pytest.approx(balanced(probability, edges), rel=1e-5)


def test_evaluation_finds_no_edges_and_maps_pass_unchanged():
    module, _ = build()
    module.float()
    image = torch.randn(1, 3, 32, 32)
    features = [
        torch.randn(1, spec.channels, 32 // spec.stride, 32 // spec.stride) for spec in LEVELS
    ]
    same, signal = module.eval().enrich(image, features, None)
    assert same is features
    assert signal is None
    assert module.loss(None, torch.zeros(1, 32, 32, dtype=torch.long)) is None
    _, signal = module.train().enrich(image, features, None)
    assert signal.shape == (1, 1, 8, 8)


def test_the_level_chooses_the_maps_and_needs_the_next_one():
    module, _ = build(level=1)
    assert module.indices == (1, 2)
    assert [side.in_channels for side in module.side] == [4, 5]
    with pytest.raises(ConfigError, match="level 4"):
        build(level=3)
