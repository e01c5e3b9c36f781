"""Every architecture with the enhancements that train alone, the control and the edge channel."""

from __future__ import annotations

import pytest
import torch
from support.cells import check_compiles, check_copies, check_exports, small_encoder
from torch import nn
from torch.nn import functional as F

from segloom.errors import ConfigError
from segloom.models import ARCHITECTURES, create_model

NAMES = {
    "deep_supervision": "deep_supervision:channels=8",
    "edge_supervision": "edge_supervision",
    "control": "control",
    "hed": "hed:weights=random,geometry=simple",
}
REFUSED = {
    ("pspnet", "deep_supervision"): "deep_supervision: this encoder has no feature map at level 4",
    **{
        (architecture, name): f"{name}: "  # a single map
        for architecture in ("eomt", "linear")
        for name in ("deep_supervision", "edge_supervision")
    },
    ("linear", "hed"): "linear freezes the encoder, which would never look at the channels",
}
PAIRS = [(a, n) for a in ARCHITECTURES for n in NAMES if (a, n) not in REFUSED]
CELLS = [pytest.param(a, n, id=f"{a}-{n}") for a, n in PAIRS]
CLASSES = 3


def build(architecture, *names):
    torch.manual_seed(0)
    small = {"decoder_intermediate_channels": (16,) * 4, "decoder_fusion_channels": 16}
    return create_model(
        architecture,
        encoder_name=small_encoder(architecture),
        classes=CLASSES,
        enhancements=[NAMES[name] for name in names],
        **(small if architecture == "dpt" else {}),
    )


def first_convolution(model):
    return next(m for m in model.encoder.modules() if isinstance(m, nn.Conv2d))


@torch.no_grad()
def wake(model, name):
    """Fill what starts at zero, behind which a fault of the part would stay hidden."""
    if name == "control":
        nn.init.normal_(model.enhancements["control"].widen.weight, std=1e-2)
    if name == "hed":
        first_convolution(model).weight[:, 3:] = 0.1
        for key, parameter in model.enhancements["hed"].named_parameters():
            if "score_dsn" in key:
                nn.init.normal_(parameter, std=5e-4)
    return model


@pytest.mark.parametrize(("architecture", "name"), CELLS)
def test_each_cell_runs_learns_and_keeps_the_plain_keys(architecture, name):
    model, plain = build(architecture, name), build(architecture)
    state = model.state_dict()
    added = {key for key in state if key.startswith("enhancements.")}
    assert {key.split(".")[1] for key in added} == {name}
    assert state.keys() - added == plain.state_dict().keys()
    image = torch.randn(2, 3, 45, 70)
    if name != "hed":  # which has a wider first convolution
        model.load_state_dict(plain.state_dict(), strict=False)
        with torch.no_grad():
            assert torch.equal(model.eval()(image), plain.eval()(image))

    wake(model.train(), name)
    target = torch.randint(0, CLASSES, (2, 45, 70))
    target[:, :20] = 255
    prediction = model.run(image)
    assert prediction.logits.shape == (2, CLASSES, 45, 70)
    heads = model.auxiliary_logits(prediction)
    losses = model.auxiliary_losses(prediction, target)
    assert set(heads) == ({name} if name == "deep_supervision" else set())
    own = {"eomt"} if architecture == "eomt" else set()
    assert set(losses) == own | ({name} if name == "edge_supervision" else set())
    maps = [prediction.logits, *heads.get(name, [])]
    total = sum(F.cross_entropy(logits, target, ignore_index=255) for logits in maps)
    sum(losses.values(), total).backward()
    trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
    assert [key for key, p in trained.items() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in trained.values())
    if name == "hed":  # the edges come from weights that are given
        assert added.isdisjoint(trained)
        assert first_convolution(model).weight.grad[:, 3:].any()
    else:
        assert any(trained[key].grad.any() for key in added & trained.keys())

    check_copies(model, image)


@pytest.mark.parametrize(("architecture", "name"), REFUSED)
def test_cells_without_sense_are_refused(architecture, name):
    with pytest.raises(ConfigError, match=f"^{REFUSED[architecture, name]}"):
        build(architecture, name)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "name"), CELLS)
def test_each_cell_compiles_and_exports(architecture, name):
    model = wake(build(architecture, name), name)
    check_compiles(model)
    check_exports(model)
