"""Every loss keeps the void rule; for each, three properties and one check that it learns."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segloom.losses import build_loss, list_losses

NUM_CLASSES = 4


def draw(seed: int, void_share: float = 0.4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, NUM_CLASSES, 7, 9, generator=generator) * 3
    target = torch.randint(0, NUM_CLASSES, (2, 7, 9), generator=generator)
    target[torch.rand(2, 7, 9, generator=generator) < void_share] = 255
    return logits.requires_grad_(), target


@pytest.mark.parametrize("name", list_losses())
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_void_pixels_get_exactly_zero_gradient(name: str, seed: int) -> None:
    logits, target = draw(seed)
    build_loss(name)(logits, target).backward()
    void = (target == 255).unsqueeze(1).expand_as(logits)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[void] == 0).all()
    assert (logits.grad[~void] != 0).any()


@pytest.mark.parametrize("value", [50.0, -1e30, float("inf"), float("nan")])
@pytest.mark.parametrize("name", list_losses())
def test_logits_of_void_pixels_change_nothing(name: str, value: float) -> None:
    logits, target = draw(3)
    void = (target == 255).unsqueeze(1)
    changed = logits.detach().masked_fill(void, value).requires_grad_()
    loss = build_loss(name)
    expected, actual = loss(logits, target), loss(changed, target)
    expected.backward()
    actual.backward()
    assert actual.item() == expected.item()
    assert torch.equal(changed.grad, logits.grad)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 3.0]])
@pytest.mark.parametrize("name", list_losses())
def test_a_batch_of_void_gives_zero_and_finite_gradients(
    name: str, weights: list[float] | None
) -> None:
    options = {"class_weights": weights} if weights and name in PIXEL_LOSSES else {}
    logits, target = draw(4)
    loss = build_loss(name, **options)(logits, torch.full_like(target, 255))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


PIXEL_LOSSES = ("bce", "boundary", "cross_entropy", "focal", "ohem")


# Not boundary: its band depends on where the pixels are; see test_cross_entropy.py.
@pytest.mark.parametrize("name", sorted({*list_losses()} - {"boundary"}))
def test_void_pixels_are_as_good_as_absent(name: str) -> None:
    logits, target = draw(5)
    valid = target != 255
    picked = logits.movedim(1, -1)[valid].T[None, :, :, None]
    loss = build_loss(name)
    torch.testing.assert_close(loss(logits, target), loss(picked, target[valid][None, :, None]))


@pytest.mark.parametrize("name", list_losses())
def test_a_right_prediction_costs_less_than_a_wrong_one(name: str) -> None:
    _, target = draw(6)
    labels = target.masked_fill(target == 255, 0)
    right = torch.nn.functional.one_hot(labels, NUM_CLASSES).movedim(-1, 1).float() * 24 - 12
    loss = build_loss(name)
    low, high = loss(right, target), loss(right.roll(1, dims=1), target)
    assert torch.isfinite(low)
    assert low < 0.05 < 0.3 < high


@pytest.mark.parametrize("name", list_losses())
def test_half_precision_logits_are_taken_as_float32(name: str) -> None:
    logits, target = draw(7)
    assert build_loss(name)(logits.detach().bfloat16(), target).dtype == torch.float32


@pytest.mark.parametrize("name", list_losses())
def test_a_perfect_prediction_has_finite_gradients(name: str) -> None:
    _, target = draw(8)
    labels = target.masked_fill(target == 255, 0)
    logits = torch.nn.functional.one_hot(labels, NUM_CLASSES).movedim(-1, 1).float() * 1000
    logits.requires_grad_()
    build_loss(name)(logits, target).backward()
    assert torch.isfinite(logits.grad).all()
