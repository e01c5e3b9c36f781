"""The centre block is the sum of the formula, on the map that is asked for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segloom.enhancements import enhancement_config
from segloom.errors import ConfigError
from segloom.models import create_model
from segloom.types import FeatureSpec, ModelShape

SHAPE = ModelShape(3, 2, (FeatureSpec(0, 3, 1), FeatureSpec(1, 4, 2), FeatureSpec(2, 6, 4)), 16)


def build(**options):
    torch.manual_seed(0)
    return enhancement_config("dlinknet", **options).build(SHAPE)


def test_sum_equals_the_formula():
    block = build()
    image, middle, deepest = (
        torch.randn(2, 3, 44, 52),
        torch.randn(2, 4, 22, 26),
        torch.randn(2, 6, 11, 13),
    )
    with torch.no_grad():
        features, _ = block.enrich(image, [image, middle, deepest], None)
        w1, w2, w3, w4 = (convolution.weight for convolution in block.convolutions)
        d1 = F.conv2d(deepest, w1, padding=1).relu()
        d2 = F.conv2d(d1, w2, padding=2, dilation=2).relu()
        d3 = F.conv2d(d2, w3, padding=4, dilation=4).relu()
        d4 = F.conv2d(d3, w4, padding=8, dilation=8).relu()
    assert torch.allclose(features[2], deepest + d1 + d2 + d3 + d4, atol=1e-6)
    assert features[0] is image
    assert features[1] is middle


def test_biases_start_at_zero_and_the_view_is_31_pixels():
    block = build()
    assert all(convolution.bias.eq(0).all() for convolution in block.convolutions)
    with torch.no_grad():
        for convolution in block.convolutions:
            convolution.weight.fill_(0.1)
        point = torch.zeros(1, 6, 63, 63)
        point[..., 31, 31] = 1
        seen = block.enrich(point, [point, point, point], None)[0][2]
    rows = seen.sum((0, 1, 3)).nonzero()
    assert (int(rows[0]), int(rows[-1])) == (16, 46)


def test_level_and_depth_are_options():
    block = build(level=1, depth=5)
    assert [convolution.dilation[0] for convolution in block.convolutions] == [1, 2, 4, 8, 16]
    assert block.convolutions[0].in_channels == 4
    assert block.feature_index == 1


def test_linknet_with_dilation_and_centre_block_learns():
    torch.manual_seed(0)
    model = create_model(
        "linknetpaper",
        encoder_name="tu-test_resnet",
        classes=3,
        enhancements=["dilation", "dlinknet"],
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    image, target = torch.randn(2, 3, 32, 64), torch.randint(0, 3, (2, 32, 64))
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(model(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    weights = model.enhancements["dlinknet"].convolutions
    assert all(convolution.weight.grad.ne(0).any() for convolution in weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 0}, "level 0 is the image"),
        ({"level": 3}, r"no feature map at level 3; take one of its levels 0, 1, 2,"),
        ({"depth": 0}, "depth must be 1 to 8, not 0"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build(**options)
