"""Auxiliary heads and the edge side output: in training alone, and of no effect on logits."""

from __future__ import annotations

import pytest
import torch

from segloom.config.training import LossConfig
from segloom.enhancements.edge_supervision import edge_map_loss, inner_boundaries
from segloom.errors import ConfigError
from segloom.losses import build_losses
from segloom.models import create_model
from segloom.training.step import TrainingStep


def build(architecture="fpn", *enhancements):
    torch.manual_seed(0)
    return create_model(
        architecture, encoder_name="tu-test_resnet", classes=3, enhancements=enhancements
    )


def step_of(model, **terms):
    losses = build_losses(
        LossConfig(terms={"cross_entropy": 1.0, **terms}), auxiliary=model.loss_weights
    )
    return TrainingStep(model, losses)


@pytest.mark.parametrize(
    ("architecture", "options", "heads"),
    [("unet", "from_level=4", 2), ("unet", "from_level=2", 4), ("sfnet", "place=decoder", 3)],
)
def test_heads_run_in_training_and_leave_logits_and_keys_alone(architecture, options, heads):
    model = build(architecture, f"deep_supervision:{options},channels=8").eval()
    plain = build(architecture).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    image = torch.randn(2, 3, 70, 100)
    keys = set(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(image), plain(image))
        assert model.auxiliary_logits(model.run(image)) == {}
    model.train()
    found = model.auxiliary_logits(model.run(image))["deep_supervision"]
    assert [tuple(logits.shape) for logits in found] == [(2, 3, 70, 100)] * heads
    assert set(model.state_dict()) == keys


def test_the_loss_of_the_heads_is_that_of_the_main_logits_weighted() -> None:
    model = build("unet", "deep_supervision:channels=8,dropout=0.0")
    step = step_of(model, deep_supervision=0.4, dice=0.5)
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    mask = torch.randint(0, 3, (2, 64, 96))
    mask[:, :8] = 255
    values = step(image, mask)
    prediction = model.run(step.normalize(image))
    expected = sum(
        step.label_losses(logits, mask)[name] * weight
        for logits in model.auxiliary_logits(prediction)["deep_supervision"]
        for name, weight in (("cross_entropy", 1.0), ("dice", 0.5))
    )
    torch.testing.assert_close(values["deep_supervision"], expected)
    total = values["cross_entropy"] + 0.5 * values["dice"] + 0.4 * values["deep_supervision"]
    torch.testing.assert_close(values["total"], total)
    values["total"].backward()
    heads = model.enhancements["deep_supervision"].parameters()
    assert all(parameter.grad.abs().sum() > 0 for parameter in heads)


def test_heads_on_a_decoder_without_maps_are_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match="hands out no feature maps; set place=encoder"):
        build("fpn", "deep_supervision:place=decoder")
    with pytest.raises(ConfigError, match="no feature map at level 9"):
        build("fpn", "deep_supervision:from_level=9")
    with pytest.raises(ConfigError, match="dropout lies in 0 to 1, not 2"):
        build("fpn", "deep_supervision:dropout=2")
    with pytest.raises(ConfigError, match="channels must be 1 or more, not 0"):
        build("fpn", "deep_supervision:channels=0")


def test_the_edge_map_is_learnt_in_training_alone() -> None:
    model = build("fpn", "edge_supervision")
    values = step_of(model)(
        torch.randint(0, 256, (2, 3, 60, 90), dtype=torch.uint8), torch.randint(0, 3, (2, 60, 90))
    )
    values["edge_supervision"].backward()
    gradients = [p.grad.abs().sum() for p in model.encoder.parameters() if p.grad is not None]
    assert sum(gradients) > 0
    assert model.decoder.p5.weight.grad is None
    model.eval()
    assert model.run(torch.randn(1, 3, 60, 90)).signals["edge_supervision"] is None


def test_boundaries_lie_inside_what_is_not_background() -> None:
    target = torch.zeros(1, 4, 6, dtype=torch.int64)
    target[:, :, 3:] = 1
    target[:, 3, 5] = 255
    inside = [[0, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1]]
    assert inner_boundaries(target, background=True)[0].int().tolist() == inside
    both = inner_boundaries(target, background=False)[0].int()
    assert both[:, 2].tolist() == [1, 1, 1, 1]


def test_edges_and_the_rest_weigh_alike_in_every_image() -> None:
    edges = torch.zeros(2, 1, 4, 5)
    edges[0, 0, 0, :2] = 1
    edges[1, 0, :2] = 1
    probability = torch.full_like(edges, 0.3)
    expected = 0.0
    for share in (0.1, 0.5):
        hit, miss = torch.tensor(0.3).log(), torch.tensor(0.7).log()
        expected -= (share * (1 - share) * hit + (1 - share) * share * miss) / 2
    torch.testing.assert_close(edge_map_loss(probability, edges), expected)
