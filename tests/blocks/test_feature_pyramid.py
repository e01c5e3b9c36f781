"""The simple feature pyramid against its formula, written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segloom.blocks.feature_pyramid import SimpleFeaturePyramid


def channel_norm(x, layer):
    mean = x.mean(1, keepdim=True)
    variance = ((x - mean) ** 2).mean(1, keepdim=True)
    normal = (x - mean) / (variance + layer.eps).sqrt()
    return normal * layer.weight[:, None, None] + layer.bias[:, None, None]


def deconv(x, layer):
    """Write each input pixel, times a 2x2 kernel, to a square of its own."""
    batch, _, height, width = x.shape
    squares = torch.einsum("bihw,ioyx->bohywx", x, layer.weight)
    return squares.reshape(batch, -1, 2 * height, 2 * width) + layer.bias[:, None, None]


def last_layers(x, reduce, norm, mix, final):
    x = channel_norm(torch.einsum("bihw,oi->bohw", x, reduce.weight[:, :, 0, 0]), norm)
    return channel_norm(F.conv2d(x, mix.weight, padding=1), final)


def test_the_pyramid_is_the_formula_of_the_paper():
    torch.manual_seed(0)
    pyramid = SimpleFeaturePyramid(16, 16, (4, 8, 16, 32), 6).double()
    for parameter in pyramid.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 16, 4, 6, dtype=torch.float64)
    quarter, half, same, double = (list(branch) for branch in pyramid.branches)
    first, norm, _, second, *rest = quarter
    expected = [
        last_layers(deconv(F.gelu(channel_norm(deconv(x, first), norm)), second), *rest),
        last_layers(deconv(x, half[0]), *half[1:]),
        last_layers(x, *same),
        last_layers(x.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2)), *double[1:]),
    ]
    for found, wanted in zip(pyramid(x), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    assert [map_.shape[1:] for map_ in pyramid(x)] == [
        (6, 16, 24),
        (6, 8, 12),
        (6, 4, 6),
        (6, 2, 3),
    ]


def test_a_stride_off_the_powers_of_two_is_refused():
    with pytest.raises(ValueError, match="no power of two"):
        SimpleFeaturePyramid(16, 14, (4,))
