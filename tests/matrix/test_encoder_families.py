"""Families of encoders under every architecture, plain and with AFMA and CELT, at an odd size."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import pytest
import torch
from support.small_encoders import small_encoders

from segloom.errors import ConfigError
from segloom.models import ARCHITECTURES, create_model
from segloom.models.matrix import middle_level

PLAIN = ("vit_small_patch14_dinov2", "vit_small_patch16_dinov3", "vit_base_patch16_siglip_224")
FAMILIES = (
    *PLAIN,
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "hiera_tiny_224",
    "test_convnext",
    "test_efficientnet",
)
WITHOUT_DILATION = ("swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "hiera_tiny_224")
DILATED = ("pan", "deeplabv3", "deeplabv3plus", "dlse")
REFUSED = {
    **{
        (family, "eomt"): "eomt needs a plain vision transformer of timm"
        for family in FAMILIES
        if family not in PLAIN
    },
    **{
        (family, "linknetpaper"): "LinkNet needs an encoder with a map at half the size"
        for family in (*WITHOUT_DILATION, "test_convnext")
    },
    **dict.fromkeys(
        itertools.product(WITHOUT_DILATION, DILATED),
        "unexpected keyword argument 'output_stride' Try another encoder",
    ),
    ("hiera_tiny_224", "dpt"): "takes images of 224x224 pixels alone",
}
"""What does not fit, and what is said of it."""
CELLS = [
    # A fifth of the pairs, with every family and every architecture, runs each time.
    pytest.param(
        family,
        architecture,
        marks=()
        if (row + column) % 5 == 0 or (family, architecture) in REFUSED
        else pytest.mark.slow,
    )
    for (row, family), (column, architecture) in itertools.product(
        enumerate(FAMILIES), enumerate(ARCHITECTURES)
    )
]
SIZE = (67, 101)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    with small_encoders(monkeypatch), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Encoder does not have prefix tokens")
        yield


def build(family: str, architecture: str, *enhancements: str) -> Any:
    torch.manual_seed(0)
    return create_model(architecture, encoder_name=family, classes=3, enhancements=enhancements)


@pytest.mark.parametrize(("family", "architecture"), CELLS)
def test_it_runs_and_learns_and_keeps_its_keys(family, architecture):
    if (family, architecture) in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[family, architecture]):
            build(family, architecture)
        return
    plain = build(family, architecture)
    level = middle_level(plain)
    model = build(
        family, architecture, f"celt:level={level},patch=4", f"afma:level={level},patch=4"
    )
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    assert missing
    assert all(key.startswith(("enhancements.celt.", "enhancements.afma.")) for key in missing)
    target = torch.randint(3, (2, *SIZE))
    target[:, :5] = 255
    for network in (plain, model):
        prediction = network.run(torch.randn(2, 3, *SIZE))
        assert prediction.logits.shape == (2, 3, *SIZE)
        assert prediction.logits.isfinite().all()
        losses = network.auxiliary_losses(prediction, target).values()
        (prediction.logits.square().mean() + sum(losses)).backward()
        named = network.named_parameters()
        assert [name for name, p in named if p.requires_grad and p.grad is None] == []
