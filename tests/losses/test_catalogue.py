"""Every region loss is its formula over the labelled pixels, class by class, and then the mean."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from segloom.errors import ConfigError, UnknownNameError
from segloom.losses import build_loss
from segloom.losses.catalogue import LOSSES, build_term, list_losses

CLASSES = 3


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, CLASSES, 5, 6, generator=generator)
    target = torch.randint(CLASSES, (2, 5, 6), generator=generator)
    target[:, :2, :3] = 255
    return logits, target


def pixels(batch):
    """List probabilities, as floats, and the class of every labelled pixel."""
    logits, target = batch
    chances = logits.double().softmax(1).permute(0, 2, 3, 1)[target != 255]
    return chances.tolist(), target[target != 255].tolist()


def overlap(batch, score):
    """Average ``1 - score`` or what it returns over the classes that occur."""
    chances, labels = pixels(batch)
    values = []
    for k in range(CLASSES):
        hit = sum(p[k] for p, label in zip(chances, labels, strict=True) if label == k)
        predicted, present = sum(p[k] for p in chances), labels.count(k)
        values.append(score(hit, predicted - hit, present - hit) if present else 0.0)
    return sum(values) / CLASSES


FORMULAS = {
    "dice": (lambda tp, fp, fn: 1 - 2 * tp / (2 * tp + fp + fn), {}),
    "log_dice": (lambda tp, fp, fn: -math.log(2 * tp / (2 * tp + fp + fn)), {}),
    "jaccard": (lambda tp, fp, fn: 1 - tp / (tp + fp + fn), {}),
    "log_jaccard": (lambda tp, fp, fn: -math.log(tp / (tp + fp + fn)), {}),
    "tversky": (lambda tp, fp, fn: 1 - tp / (tp + 0.3 * fp + 0.7 * fn), {}),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_region_losses_are_their_formulas(name, batch):
    score, options = FORMULAS[name]
    found = build_loss(name, **options)(*batch).item()
    assert found == pytest.approx(overlap(batch, score), rel=1e-5)


def test_tversky_takes_its_weights(batch):
    found = build_loss("tversky", alpha=0.9, beta=0.2)(*batch).item()
    expected = overlap(batch, lambda tp, fp, fn: 1 - tp / (tp + 0.9 * fp + 0.2 * fn))
    assert found == pytest.approx(expected, rel=1e-5)


def test_lovasz_is_the_sum_of_sorted_errors_by_the_steps_of_the_jaccard_loss(batch):
    """Berman et al., equation 9: errors from the largest on, each by what it adds to the loss.

    Image by image is not asked for; the classes of the batch are averaged.
    """
    chances, labels = pixels(batch)
    values = []
    for k in range(CLASSES):
        errors = [
            (abs((label == k) - p[k]), label == k) for p, label in zip(chances, labels, strict=True)
        ]
        errors.sort(reverse=True)
        present, losses = labels.count(k), [0.0]
        for count in range(1, len(errors) + 1):
            wrong = errors[:count]
            missed = sum(is_class for _, is_class in wrong)
            losses.append(1 - (present - missed) / (present + count - missed))
        steps = [after - before for before, after in pairwise(losses)]
        values.append(sum(e * s for (e, _), s in zip(errors, steps, strict=True)))
    expected = sum(values) / CLASSES
    assert build_loss("lovasz")(*batch).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_sigmoid_focal_is_its_formula(gamma, batch):
    """Lin et al., equation 4, a yes or no per class; the mean of all."""
    logits, target = batch
    chances = logits.double().sigmoid().permute(0, 2, 3, 1)[target != 255].tolist()
    labels = target[target != 255].tolist()
    total = 0.0
    for k in range(CLASSES):
        values = []
        for p, label in zip(chances, labels, strict=True):
            right = p[k] if label == k else 1 - p[k]
            values.append(-((1 - right) ** gamma) * math.log(right))
        total += sum(values) / len(values) / CLASSES
    assert build_loss("sigmoid_focal", gamma=gamma)(*batch).item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tversky", {"alpha": -0.1}, r"positive; got -0\.1 and 0\.7"),
        ("tversky", {"beta": -1}, "positive; got 0.3 and -1"),
        ("tversky", {"alpha": 0, "beta": 0}, "positive; got 0 and 0"),
        ("sigmoid_focal", {"gamma": 0.5}, r"gamma must be at least 1; got 0\.5"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        build_loss(name, **options)


def test_one_of_two_weights_may_be_zero():
    build_loss("tversky", alpha=0, beta=1)
    build_loss("tversky", alpha=1, beta=0)


def test_class_weights_go_to_losses_that_take_them_and_to_no_other(batch):
    weights = [0.2, 1.0, 4.0]
    for name in LOSSES:
        plain, weighted = (
            build_term(name, w, {}, "multiclass")(*masked(batch)) for w in (None, weights)
        )
        assert (weighted != plain) == (
            name in ("bce", "boundary", "cross_entropy", "focal", "ohem")
        )


def masked(batch):
    logits, target = batch
    return logits.masked_fill((target == 255)[:, None], 0.0), target


def test_an_option_of_class_weights_goes_before_those_of_the_term(batch):
    own = build_term("focal", [9.0, 1.0, 1.0], {"class_weights": [1.0, 2.0, 3.0]}, "multiclass")
    expected = build_loss("focal", class_weights=[1.0, 2.0, 3.0])(*batch)
    assert own(*masked(batch)).item() == expected.item()


def test_names_are_suggested():
    assert list_losses()[: len(LOSSES)] == list(LOSSES)
    with pytest.raises(UnknownNameError, match="unknown loss 'dise': did you mean 'dice'"):
        build_loss("dise")
    with pytest.raises(UnknownNameError, match="option of loss focal 'gama': did you mean 'gamma'"):
        build_loss("focal", gama=2)
    with pytest.raises(UnknownNameError, match=r"option of loss dice 'x'.*\(none\)"):
        build_loss("dice", x=2)


def test_a_loss_for_exclusive_classes_is_refused_with_those_that_fit():
    with pytest.raises(ConfigError, match=r"loss lovasz needs .* exclude .*take one of bce, dice"):
        build_loss("lovasz", mode="multilabel")
