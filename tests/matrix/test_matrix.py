"""Every architecture with every enhancement: forward, gradient, keys, copy, compile and export."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from support.cells import check_compiles, check_exports, small_encoder, small_level

from segloom.models import ARCHITECTURES, create_model

SETS = (("afma",), ("celt",), ("celt", "afma"))
CELLS = [
    pytest.param(a, e, id=f"{a}-{'+'.join(e)}") for a, e in itertools.product(ARCHITECTURES, SETS)
]
CLASSES = 3


def build(architecture, enhancements, **options):
    torch.manual_seed(0)
    parts = [f"{name}:level={small_level(architecture)}" for name in enhancements]
    return create_model(
        architecture,
        encoder_name=small_encoder(architecture),
        classes=CLASSES,
        enhancements=parts,
        **options,
    )


@pytest.mark.parametrize(("architecture", "enhancements"), CELLS)
def test_each_cell_runs_learns_and_keeps_the_plain_keys(architecture, enhancements):
    model = build(architecture, enhancements)
    plain = build(architecture, ())
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    assert {key.split(".")[1] for key in missing} == set(enhancements)

    image = torch.randn(2, 3, 130, 171)
    target = torch.randint(0, CLASSES, (2, 130, 171))
    target[:, :20] = 255
    prediction = model.run(image)
    assert prediction.logits.shape == (2, CLASSES, 130, 171)
    loss = torch.nn.functional.cross_entropy(prediction.logits, target, ignore_index=255)
    for value in model.auxiliary_losses(prediction, target).values():
        loss = loss + value
    loss.backward()
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert silent == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)

    model.eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(image)
        for parameter in model.enhancements.parameters():
            parameter.zero_()
        assert torch.equal(twin(image), expected)


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
@pytest.mark.parametrize("name", ["afma", "celt"])
def test_every_level_of_the_encoder_is_taken(architecture, name):
    shape = create_model(architecture, encoder_name=small_encoder(architecture)).shape
    for spec in shape.features:
        if spec.level == 0 or spec.channels == 0:
            continue
        model = create_model(
            architecture,
            encoder_name=small_encoder(architecture),
            classes=CLASSES,
            enhancements=f"{name}:level={spec.level}",
        ).eval()
        with torch.no_grad():
            assert model(torch.randn(1, 3, 64, 96)).shape == (1, CLASSES, 64, 96)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "enhancements"), CELLS)
def test_each_cell_compiles_without_a_break(architecture, enhancements):
    check_compiles(build(architecture, enhancements))


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "enhancements"), CELLS)
def test_each_cell_exports_and_runs_at_another_size(architecture, enhancements):
    check_exports(build(architecture, enhancements))
