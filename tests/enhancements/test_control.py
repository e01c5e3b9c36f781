"""The control has the number of parameters that is asked for, and starts as the plain network."""

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
    return enhancement_config("control", **options).build(SHAPE)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_map_equals_the_formula():
    control = build(parameters=120)
    torch.nn.init.normal_(control.widen.weight)
    image, middle, deepest = (
        torch.randn(2, 3, 8, 8),
        torch.randn(2, 4, 4, 4),
        torch.randn(2, 6, 2, 2),
    )
    with torch.no_grad():
        features, _ = control.enrich(image, [image, middle, deepest], None)
        narrow = F.conv2d(deepest, control.narrow.weight).relu()
        expected = deepest + F.conv2d(narrow, control.widen.weight)
    assert torch.allclose(features[2], expected, atol=1e-6)
    assert features[0] is image
    assert features[1] is middle


@pytest.mark.parametrize(("asked", "width"), [(120, 10), (12, 1), (1, 1), (1000, 83), (104, 9)])
def test_map_is_the_deepest_and_the_number_met_to_within_its_channels(asked, width):
    control = build(parameters=asked)
    assert (control.widen.out_channels, control.narrow.out_channels) == (6, width)
    assert abs(count(control) - asked) <= max(6, 12 - asked)


def test_level_can_be_chosen():
    assert build(parameters=120, level=1).widen.out_channels == 4


@pytest.mark.parametrize("method", ["afma", "celt", "se:place=skips", "deep_supervision"])
def test_network_has_as_many_parameters_and_the_logits_of_the_plain_one(method):
    def network(*enhancements):
        torch.manual_seed(0)
        return create_model(
            "unet", encoder_name="resnet18", classes=4, enhancements=enhancements
        ).eval()

    plain, enhanced = network(), network(method)
    control = network(f"control:parameters={count(enhanced) - count(plain)}")
    extra = count(enhanced) - count(plain)
    assert count(control) - count(plain) == pytest.approx(extra, abs=512)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(control(image), plain(image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": 0}, "1 or more, not 0"),
        ({"level": 0}, "level 0 is the image"),
        ({"level": 7}, "no feature map at level 7"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build(**options)
