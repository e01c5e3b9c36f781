"""Losses of overlapping classes against plain formulas, the void rule, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segloom.config.training import LossConfig
from segloom.errors import ConfigError
from segloom.losses import build_loss, build_losses

NUM_CLASSES = 3
FITTING = ["bce", "dice", "focal", "jaccard", "log_dice", "log_jaccard", "sigmoid_focal", "tversky"]
EXCLUSIVE = ["boundary", "cross_entropy", "lovasz", "ohem"]


def draw(void_share: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, NUM_CLASSES, 7, 9, generator=generator) * 2
    target = torch.randint(0, 2**NUM_CLASSES, (2, 7, 9), generator=generator)
    target[torch.rand(2, 7, 9, generator=generator) < void_share] = 255
    return logits.requires_grad_(), target


def labelled(logits: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probability of every class and truth, float64 ``(K, N)``, of the pixels that are not void."""
    chosen = (target != 255).numpy()
    z = logits.detach().double().numpy().transpose(1, 0, 2, 3)[:, chosen]
    bits = target.numpy()[chosen]
    return 1 / (1 + np.exp(-z)), np.stack([bits >> k & 1 for k in range(NUM_CLASSES)])


def surprise(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -np.log(np.where(y == 1, p, 1 - p))


def bce(p, y):
    return surprise(p, y).mean()


def focal(p, y):
    return ((1 - np.exp(-surprise(p, y))) ** 2 * surprise(p, y)).mean()


def dice(p, y):
    return (1 - 2 * (p * y).sum(1) / (p.sum(1) + y.sum(1))).mean()


def jaccard(p, y):
    return (1 - (p * y).sum(1) / (p.sum(1) + y.sum(1) - (p * y).sum(1))).mean()


def tversky(p, y):
    both = (p * y).sum(1)
    return (1 - both / (both + 0.3 * (p * (1 - y)).sum(1) + 0.7 * ((1 - p) * y).sum(1))).mean()


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("bce", bce),
        ("focal", focal),
        ("sigmoid_focal", focal),
        ("dice", dice),
        ("jaccard", jaccard),
        ("tversky", tversky),
    ],
)
def test_the_value_is_that_of_the_formula_over_labelled_pixels(name, formula):
    logits, target = draw()
    value = build_loss(name, mode="multilabel")(logits, target)
    assert value.item() == pytest.approx(formula(*labelled(logits, target)), rel=1e-5)


@pytest.mark.parametrize("name", FITTING)
def test_void_pixels_have_no_gradient_whatever_they_hold(name):
    logits, target = draw()
    void = (target == 255).unsqueeze(1)
    changed = logits.detach().masked_fill(void, float("inf")).requires_grad_()
    loss = build_loss(name, mode="multilabel")
    expected, actual = loss(logits, target), loss(changed, target)
    actual.backward()
    assert actual.item() == expected.item()
    assert (changed.grad[void.expand_as(changed)] == 0).all()
    assert (changed.grad[~void.expand_as(changed)] != 0).any()
    nothing = loss(logits, torch.full_like(target, 255))
    nothing.backward()
    assert nothing.item() == 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", FITTING)
def test_descent_reaches_the_truth(name):
    _, target = draw(0.1)
    logits = torch.zeros(2, NUM_CLASSES, 7, 9, requires_grad=True)
    loss = build_loss(name, mode="multilabel")
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    p, y = labelled(logits, target)
    assert ((p >= 0.5) == y).all()


@pytest.mark.parametrize("name", ["bce", "focal"])
def test_class_weights_weigh_the_classes_among_each_other(name):
    logits, target = draw()
    config = LossConfig(terms={name: 1.0})
    weights = [1.0, 3.0, 0.0]
    value = build_losses(config, class_weights=weights, mode="multilabel")(logits, target)[name]
    p, y = labelled(logits, target)
    formula = {"bce": bce, "focal": focal}[name]
    each = [formula(p[k : k + 1], y[k : k + 1]) for k in range(NUM_CLASSES)]
    assert value.item() == pytest.approx(np.average(each, weights=weights), rel=1e-5)


@pytest.mark.parametrize("name", EXCLUSIVE)
def test_losses_of_exclusive_classes_are_refused(name):
    with pytest.raises(ConfigError, match=f"loss {name} needs classes that exclude each.*bce"):
        build_losses(LossConfig(terms={name: 1.0}), mode="multilabel")


def test_the_mode_is_no_option_of_a_term():
    with pytest.raises(ConfigError, match="unknown option of loss dice 'mode'"):
        build_losses(LossConfig(terms={"dice:mode=multilabel": 1.0}))
    with pytest.raises(ConfigError, match="gamma must be at least 1"):
        build_losses(LossConfig(terms={"focal:gamma=0.5": 1.0}), mode="multilabel")
