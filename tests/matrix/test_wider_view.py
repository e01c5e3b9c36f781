"""Every architecture with the dilation and the centre block, as `test_matrix` has the others."""

from __future__ import annotations

import pytest
import torch
from support.cells import (
    ON_TRANSFORMERS,
    check_compiles,
    check_copies,
    check_exports,
    small_encoder,
)
from torch.nn import functional as F

from segloom.errors import ConfigError
from segloom.models import ARCHITECTURES, create_model

CELLS = [
    pytest.param(architecture, name, id=f"{architecture}-{name}")
    for architecture in ARCHITECTURES
    for name in ("dilation", "dlinknet")
    # A vision transformer has nothing to dilate.
    if name != "dilation" or architecture not in ON_TRANSFORMERS
]
CLASSES = 3


def build(architecture, *enhancements):
    torch.manual_seed(0)
    # By itself PSPNet takes no map that the dilation changes.
    options = (
        {"encoder_depth": 5} if (architecture, *enhancements) == ("pspnet", "dilation") else {}
    )
    return create_model(
        architecture,
        encoder_name=small_encoder(architecture),
        classes=CLASSES,
        enhancements=enhancements,
        **options,
    )


@pytest.mark.parametrize(("architecture", "name"), CELLS)
def test_each_cell_runs_learns_and_keeps_the_plain_keys(architecture, name):
    model = build(architecture, name)
    state = model.state_dict()
    added = {key for key in state if key.startswith("enhancements.")}
    assert {key.split(".")[1] for key in added} == ({"dlinknet"} if name == "dlinknet" else set())
    if name == "dlinknet":
        assert state.keys() - added == build(architecture).state_dict().keys()

    image = torch.randn(2, 3, 66, 101)
    target = torch.randint(0, CLASSES, (2, 66, 101))
    target[:, :20] = 255
    logits = model(image)
    assert logits.shape == (2, CLASSES, 66, 101)
    F.cross_entropy(logits, target, ignore_index=255).backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)

    check_copies(model, image)


def test_the_one_cell_without_sense_is_refused():
    with pytest.raises(ConfigError, match="dilation"):
        build("dpt", "dilation")


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "name"), CELLS)
def test_each_cell_compiles_and_exports(architecture, name):
    model = build(architecture, name)
    check_compiles(model)
    check_exports(model)
