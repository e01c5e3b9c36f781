"""Squeeze-and-excitation at each place of every architecture: run, learn, keys, copy, export."""

from __future__ import annotations

import copy

import pytest
import torch
from support.cells import ON_TRANSFORMERS, check_compiles, check_exports, small_encoder

from segloom.enhancements.se import SqueezeExcitation
from segloom.errors import ConfigError
from segloom.models import ARCHITECTURES, create_model

PYRAMIDS = ("deeplabv3", "deeplabv3plus", "dlse")
PLACES = {"encoder": "encoder.", "aspp": "decoder.", "skips": "enhancements.se."}
PLACES["decoder"] = PLACES["skips"]
CELLS = [
    pytest.param(architecture, place, id=f"{architecture}-{place}")
    for architecture in ARCHITECTURES
    for place in PLACES
    if (place != "aspp" or architecture in PYRAMIDS)
    and (place != "encoder" or architecture not in ON_TRANSFORMERS)  # a vision transformer
]


def build(architecture, enhancements=()):
    torch.manual_seed(0)
    return create_model(
        architecture, encoder_name=small_encoder(architecture), classes=3, enhancements=enhancements
    )


@pytest.mark.parametrize(("architecture", "place"), CELLS)
def test_each_cell_runs_learns_and_keeps_the_plain_keys(architecture, place):
    model, plain = build(architecture, f"se:place={place}"), build(architecture)
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    assert missing
    assert all(key.startswith(PLACES[place]) and ".fc" in key for key in missing)

    image = torch.randn(2, 3, 61, 90)
    model(image).square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == []

    model.eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(image)
        for module in model.modules():
            if isinstance(module, SqueezeExcitation):
                module.fc2.bias.fill_(torch.nan)
        assert torch.equal(twin(image), expected)
        assert not torch.equal(model(image), expected)


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a not in PYRAMIDS])
def test_an_architecture_without_a_pyramid_refuses_that_place(architecture):
    with pytest.raises(ConfigError, match=r"deeplabv3, .* have and this one has not"):
        build(architecture, "se:place=aspp")


def test_a_vision_transformer_has_no_residual_convolutions():
    with pytest.raises(ConfigError, match="place encoder needs an encoder of residual blocks"):
        build("dpt", "se:place=encoder")


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "place"), CELLS)
def test_each_cell_compiles_without_a_break(architecture, place):
    check_compiles(build(architecture, f"se:place={place}"))


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "place"), CELLS)
def test_each_cell_exports_and_runs_at_another_size(architecture, place):
    check_exports(build(architecture, f"se:place={place}"))
