"""A plain vision transformer under every decoder, with enhancements: forward, gradient, keys."""

from __future__ import annotations

import itertools

import pytest
import torch
from support.cells import ON_TRANSFORMERS

from segloom.models import ARCHITECTURES, create_model

CLASSES = 3
ARCHS = [name for name in ARCHITECTURES if name not in ON_TRANSFORMERS]
SETS = (("afma:level=3", "celt:level=3"), ("se:place=skips",), ("se:place=decoder",))
CELLS = [
    *itertools.product(ARCHS, SETS),
    *(("fpn", (name,)) for name in ("fem", "fam")),
    *(("upernet", (name,)) for name in ("fem", "fam")),
]


def build(architecture, *enhancements):
    torch.manual_seed(0)
    return create_model(
        architecture, encoder_name="tu-test_vit", classes=CLASSES, enhancements=enhancements
    )


@pytest.mark.parametrize(("architecture", "enhancements"), CELLS)
def test_the_transformer_runs_and_learns_under_every_decoder(architecture, enhancements):
    model = build(architecture, *enhancements)
    plain = build(architecture)
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    names = {name.partition(":")[0] for name in enhancements}
    assert all(key.split(".")[1] in names or ".join." in key for key in missing)
    for network in (model, plain):
        logits = network(torch.randn(2, 3, 67, 101))
        assert logits.shape == (2, CLASSES, 67, 101)
        logits.square().mean().backward()
        named = network.named_parameters()
        assert [name for name, p in named if p.requires_grad and p.grad is None] == []
