"""What is printed of an encoder is what a built one has."""

from __future__ import annotations

import warnings

import pytest
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder
from support.small_encoders import small_encoders
from torch import nn

from segloom.errors import ConfigError
from segloom.models import create_model
from segloom.models.encoders.inventory import encoder_details


@pytest.fixture
def small(monkeypatch):
    with small_encoders(monkeypatch), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Encoder does not have prefix tokens")
        yield


def count_by_hand(model, image):
    """Multiply-adds of convolutions and linear layers, by their formula."""
    total = 0

    def note(layer, _, output):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            each = layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        else:
            each = layer.in_features
        total += output.numel() * each

    counted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [module.register_forward_hook(note) for module in counted]
    with torch.no_grad():
        model.eval()(image)
    for handle in handles:
        handle.remove()
    return total


def test_a_convolutional_network_of_timm():
    found = encoder_details("tu-test_resnet")
    model = timm.create_model("test_resnet", num_classes=0)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.side == 160
    assert found.multiply_adds == count_by_hand(model, torch.zeros(1, 3, 160, 160))
    assert found.strides == (2, 4, 8, 16, 32)
    assert (found.licence, found.decoders) == ("apache-2.0", "all but eomt")


def test_a_vision_transformer_with_the_products_of_its_attention():
    found = encoder_details("tu-test_vit")
    model = timm.create_model("test_vit", num_classes=0)
    layers = count_by_hand(model, torch.zeros(1, 3, 160, 160))
    tokens, width, blocks = 10 * 10 + model.num_prefix_tokens, model.embed_dim, len(model.blocks)
    assert found.multiply_adds == layers + 2 * blocks * tokens**2 * width
    assert found.strides == (16,)
    assert found.decoders == "dpt, linear, eomt as it is; others by a feature pyramid"


@pytest.mark.parametrize(
    "name", ["test_convnext", "mobilenetv4_conv_small_035", "pvt_v2_b0", "hiera_tiny_224"]
)
def test_what_is_said_of_decoders_is_what_they_take(name, small):
    *_, listed = encoder_details(f"tu-{name}").decoders.partition("all but ")
    refused = set()
    for architecture in ("unet", "linknetpaper", "pan", "deeplabv3", "dpt", "linear", "eomt"):
        try:
            create_model(architecture, encoder_name=name)
        except ConfigError:
            refused.add(architecture)
    assert refused == set(listed.split(", ")) - {"deeplabv3plus", "dlse"}


@pytest.mark.parametrize(("name", "strides"), [("resnet18", (2, 4, 8, 16, 32)), ("mit_b0", None)])
def test_encoders_of_smp(name, strides):
    found = encoder_details(name)
    model = get_encoder(name, weights=None)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.strides == (strides or (4, 8, 16, 32))
    assert (found.side, found.licence, found.decoders) == (224, None, "all but dpt and eomt")
