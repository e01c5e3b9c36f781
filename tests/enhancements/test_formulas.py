"""AFMA, CELT, SE and HED are their formulas, written out in float64, without recorded arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.formulas import (
    Array,
    Layers,
    convolve,
    cut,
    fill,
    pool_max,
    pool_mean,
    put_back,
    resize_centres,
)

from segloom.enhancements.afma import Afma, AfmaConfig
from segloom.enhancements.celt import CeltConfig
from segloom.enhancements.hed.network import STAGES, HedNetwork
from segloom.enhancements.se import SqueezeExcitation
from segloom.types import FeatureSpec, ModelShape

CLASSES, CHANNELS, STRIDE, PATCH = 3, 5, 4, 3


def drawn(seed: int, *size: int) -> Array:
    return np.random.default_rng(seed).normal(size=size)


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array)[None]


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def shape(level: int) -> ModelShape:
    features = (FeatureSpec(0, 3, 1), FeatureSpec(level, CHANNELS, STRIDE))
    return ModelShape(3, CLASSES, features, 16)


# AFMA


def afma(level: int, **options: Any) -> tuple[Afma, Layers, Array, Array]:
    """Build a module with drawn weights, an image, and an encoder map of a quarter of its size."""
    module = AfmaConfig(level=level, patch=PATCH, **options).build(shape(level))
    return module, fill(module, 5), drawn(1, 3, 28, 40), drawn(2, CHANNELS, 7, 10)


def relation(layers: Layers, image: Array, feature: Array, scale: float, keep: bool) -> Array:
    """``A[k, n, m]``: which image patch n resembles which feature patch m, for class k."""
    embedded = layers.convolve(layers.convolve(image, "image_first"), "image_second")
    mapped = layers.convolve(feature, "feature_embed") * scale

    def describe(plane: Array) -> Array:
        patches = cut(plane, PATCH, keep_rest=keep)
        return relu(patches @ layers["expand.weight"].T @ layers["reduce.weight"].T)

    return np.stack(
        [
            describe(embedded[k if len(embedded) > 1 else 0]) @ describe(mapped[k]).T / PATCH**2
            for k in range(CLASSES)
        ]
    )


CASES = [
    ("default", 2, None),
    ("default", 2, 1),
    ("default", 3, None),
    ("parity", 2, None),
    ("parity", 3, None),
]
"""Mode, level and embedded channels; level 3 of a dilated encoder keeps the stride of level 2."""


@torch.no_grad()
@pytest.mark.parametrize(("mode", "level", "embed"), CASES)
def test_relation_of_afma_is_its_formula(mode, level, embed) -> None:
    module, layers, image, feature = afma(level, mode=mode, image_embed_channels=embed)
    scale = 4.0**-level if mode == "parity" else 1 / STRIDE**2
    expected = relation(layers, image, feature, scale, mode == "default")
    signal = module.enrich(tensor(image), [tensor(image), tensor(feature)], None)[1]
    np.testing.assert_allclose(module.attention(signal)[0], expected, rtol=1e-10)
    assert 0 < (expected == 0).mean() < 0.5


@torch.no_grad()
@pytest.mark.parametrize("mode", ["default", "parity"])
def test_correction_of_afma_is_its_formula(mode) -> None:
    module, layers, image, feature = afma(2, mode=mode)
    keep, logits = mode == "default", drawn(3, CLASSES, 28, 40)
    related = relation(layers, image, feature, 1 / STRIDE**2, keep)
    winners = np.stack([(logits.argmax(0) == k).astype(float) for k in range(CLASSES)])
    expected = np.empty_like(logits)
    for k, pooled in enumerate(pool_mean(winners, STRIDE)):
        values = cut(pooled, PATCH, keep_rest=keep)
        counts = (related[k] != 0).sum(1, keepdims=True)
        gains = put_back(related[k] @ values / (counts + 1e-5), (28, 40), PATCH, keep_rest=keep)
        expected[k] = logits[k] * (1 + gains)
    signal = module.relate(tensor(image), tensor(feature))
    np.testing.assert_allclose(module.correct(tensor(logits), signal)[0], expected, rtol=1e-9)


# CELT


def attend(layers: Layers, key: str, query: Array, memory: Array) -> Array:
    """One head of attention with its projections, ``(T, D)`` from ``(T, D)`` and ``(S, D)``."""
    weights = np.split(layers[f"{key}.in_proj.weight"], 3)
    biases = np.split(layers[f"{key}.in_proj.bias"], 3)
    q, k, v = (
        x @ weight.T + bias
        for x, weight, bias in zip((query, memory, memory), weights, biases, strict=True)
    )
    mixed = softmax(q @ k.T / np.sqrt(q.shape[1])) @ v
    return mixed @ layers[f"{key}.out_proj.weight"].T + layers[f"{key}.out_proj.bias"]


def normalize_tokens(layers: Layers, key: str, x: Array) -> Array:
    centred = x - x.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    return centred / spread * layers[f"{key}.weight"] + layers[f"{key}.bias"]


def linear(layers: Layers, key: str, x: Array) -> Array:
    return x @ layers[f"{key}.weight"].T + layers[f"{key}.bias"]


def feed(layers: Layers, key: str, x: Array) -> Array:
    return linear(layers, f"{key}.3", relu(linear(layers, f"{key}.0", x)))


def transform(layers: Layers, key: str, source: Array, target: Array) -> Array:
    """One encoder layer on the source, one decoder layer on the target, a norm after each."""

    def norm(part: str, x: Array) -> Array:
        return normalize_tokens(layers, f"{key}.{part}", x)

    memory = norm(
        "encode_norms.0", source + attend(layers, f"{key}.encode_attention", *[source] * 2)
    )
    memory = norm("encode_norms.1", memory + feed(layers, f"{key}.encode_feedforward", memory))
    memory = norm("encode_norms.2", memory)
    out = norm("decode_norms.0", target + attend(layers, f"{key}.decode_attention", *[target] * 2))
    out = norm("decode_norms.1", out + attend(layers, f"{key}.cross_attention", out, memory))
    out = norm("decode_norms.2", out + feed(layers, f"{key}.decode_feedforward", out))
    return norm("decode_norms.3", out)


def places(rows: int, columns: int, width: int) -> Array:
    """A quarter of the width each: sine and cosine of the row, sine and cosine of the column."""
    out, count = np.zeros((rows * columns, width)), width // 4
    for row in range(rows):
        for column in range(columns):
            for i in range(count):
                rate = 10000 ** (-i / count)
                waves = np.sin(row * rate), np.cos(row * rate), np.sin(column * rate)
                for quarter, value in enumerate((*waves, np.cos(column * rate))):
                    out[row * columns + column, quarter * count + i] = value
    return out


def share(size: int, cells: int) -> Array:
    """How much of cell i of ``cells`` equal ones lies over sample j of ``size``."""
    out = np.zeros((cells, size))
    for i in range(cells):
        for j in range(size):
            shared = min((i + 1) / cells, (j + 1) / size) - max(i / cells, j / size)
            out[i, j] = max(shared, 0) * cells
    return out


@torch.no_grad()
@pytest.mark.parametrize("mode", ["default", "parity"])
@pytest.mark.parametrize("position", ["none", "sine"])
def test_celt_is_its_formula(mode, position) -> None:
    """A map of 4 x 3 patches, drawn on an image of 7 x 6 of them and, by default, on the rest."""
    keep, side, grid = mode == "default", 4, 2
    size, rows, columns = ((30, 26), 4, 3) if keep else ((30, 26), 2, 2)
    image, feature = drawn(1, 3, *size), drawn(2, CHANNELS, rows * side, columns * side)
    options = {"feedforward": 7, "hidden": 6, "position": position, "mode": mode}
    module = CeltConfig(patch=side, grid=grid, **options).build(shape(2))
    layers = fill(module, 3)
    sources = cut(layers.convolve(image, "source_embed")[0], side, keep_rest=keep)
    targets = cut(layers.convolve(feature, "feature_embed")[0], side, keep_rest=keep)
    if position == "sine":
        sources = sources + places(*((8, 7) if keep else (7, 6)), side**2)
        targets = targets + places(rows, columns, side**2)
    related = transform(layers, "up", targets, sources) @ (
        transform(layers, "down", sources, targets).T
    )
    cells = np.einsum(
        "src,gr,ec->sge",
        related.reshape(-1, rows, columns),
        share(rows, grid),
        share(columns, grid),
    ).reshape(-1, grid**2)
    patches = linear(layers, "reduce", linear(layers, "expand", cells))
    expected = relu(put_back(patches, size, side, keep_rest=keep))[None]
    signal = module.enrich(tensor(image), [tensor(image), tensor(feature)], None)[1]
    # Places and shares are computed in float32.
    np.testing.assert_allclose(signal[0], expected, rtol=1e-6, atol=1e-6)
    assert 0.2 < (expected > 0).mean() < 0.8
    logits = drawn(4, CLASSES, *size)
    corrected = logits + layers.convolve(expected, "project")
    np.testing.assert_allclose(module.correct(tensor(logits), signal)[0], corrected, rtol=1e-5)


# SE


@torch.no_grad()
@pytest.mark.parametrize("gate", ["sigmoid", "softmax", "scaled_softmax"])
def test_squeeze_and_excitation_is_its_formula(gate) -> None:
    module, x = SqueezeExcitation(12, 4, gate), drawn(1, 12, 5, 7)
    layers = fill(module, 2)
    excited = linear(layers, "fc2", relu(linear(layers, "fc1", x.mean((1, 2)))))
    gates = 1 / (1 + np.exp(-excited)) if gate == "sigmoid" else softmax(excited)
    if gate == "scaled_softmax":
        gates[gates.argmax()] *= 1.5
    assert layers["fc1.weight"].shape == (3, 12)
    np.testing.assert_allclose(module(tensor(x))[0], x * gates[:, None, None], rtol=1e-12)


# HED


def enlarge(score: Array, stride: int) -> Array:
    """Apply the authors' transposed convolution with a fixed bilinear filter."""
    ramp = np.array([1 - abs(i - (2 * stride - 1) / 2) / stride for i in range(2 * stride)])
    height, width = score.shape
    out = np.zeros(((height + 1) * stride, (width + 1) * stride))
    for i in range(height):
        for j in range(width):
            place = np.s_[i * stride : (i + 2) * stride, j * stride : (j + 2) * stride]
            out[place] += score[i, j] * np.outer(ramp, ramp)
    return out


@torch.no_grad()
@pytest.mark.parametrize("geometry", ["caffe", "simple"])
def test_edge_detection_is_its_formula(geometry) -> None:
    image, size = np.random.default_rng(0).uniform(0, 255, (3, 17, 22)), (17, 22)
    network = HedNetwork(geometry)
    layers = fill(network, 1)
    values = image[::-1] - layers["mean"][:, None, None]  # red, green, blue to blue, green, red
    sides = []
    for stage, channels in enumerate(STAGES, start=1):
        if stage > 1:
            values = pool_max(values, round_up=geometry == "caffe")
        for number in range(1, len(channels)):
            key, is_first = f"conv{stage}_{number}", geometry == "caffe" and not sides
            padding = 35 if is_first and number == 1 else 1
            weight, bias = layers[f"{key}.weight"], layers[f"{key}.bias"]
            values = relu(convolve(values, weight, bias, padding))
        score = layers.convolve(values, f"score_dsn{stage}")
        if geometry == "simple":
            sides.append(resize_centres(score, size)[0])
            continue
        full = score[0] if stage == 1 else enlarge(score[0], 2 ** (stage - 1))
        margin = (34, 35, 36, 38, 42)[stage - 1]
        sides.append(full[margin : margin + size[0], margin : margin + size[1]])
    fused = layers.convolve(np.stack(sides), "score_final")
    found = network(tensor(image))[0].numpy()
    for side, expected in zip(found, [*sides, *fused], strict=True):
        np.testing.assert_allclose(side, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
