from __future__ import annotations

import pytest
import torch

from segloom.config import LossConfig
from segloom.losses import build_losses
from segloom.models import create_model
from segloom.training import TrainingStep


@pytest.fixture(scope="module")
def step() -> TrainingStep:
    torch.manual_seed(0)
    model = create_model(
        "fpn", encoder_name="tu-test_resnet", classes=3, enhancements=["afma:level=2,patch=8"]
    )
    config = LossConfig(terms={"cross_entropy": 1.0, "dice": 0.5, "afma": 0.25})
    return TrainingStep(model, build_losses(config, auxiliary=model.loss_weights)).eval()


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    image = torch.randint(0, 256, (2, 3, 40, 56), dtype=torch.uint8)
    mask = torch.randint(0, 3, (2, 40, 56), dtype=torch.uint8)
    mask[:, :5] = 255
    return image, mask


def test_every_loss_is_named_and_the_total_is_their_weighted_sum(step, batch) -> None:
    values = step(*batch)
    assert set(values) == {"cross_entropy", "dice", "afma", "total"}
    total = values["cross_entropy"] + 0.5 * values["dice"] + 0.25 * values["afma"]
    torch.testing.assert_close(values["total"], total)
    assert all(value.dtype == torch.float32 and value.ndim == 0 for value in values.values())


def test_every_trainable_parameter_gets_a_gradient(step, batch) -> None:
    step.zero_grad()
    step(*batch)["total"].backward()
    missing = [n for n, p in step.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    step.zero_grad()


def test_memory_format_and_label_type_do_not_change_the_losses(step, batch) -> None:
    image, mask = batch
    other = TrainingStep(step.model, step.losses, channels_last=True).eval()
    expected, actual = step(image, mask), other(image, mask.long())
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-4, atol=1e-5)


def test_label_losses_are_float32_under_autocast(step, batch) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        values = step(*batch)
    assert values["cross_entropy"].dtype == torch.float32
    torch.testing.assert_close(
        values["cross_entropy"], step(*batch)["cross_entropy"], rtol=0.05, atol=0.05
    )


def test_a_batch_of_void_costs_nothing_and_breaks_nothing(step, batch) -> None:
    image, mask = batch
    step.zero_grad()
    values = step(image, torch.full_like(mask, 255))
    values["total"].backward()
    assert values["cross_entropy"] == values["dice"] == 0
    assert torch.isfinite(values["total"])
    assert all(torch.isfinite(p.grad).all() for p in step.parameters() if p.grad is not None)
    step.zero_grad()
