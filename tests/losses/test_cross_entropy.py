from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segloom.errors import ConfigError
from segloom.losses import build_loss
from segloom.losses.cross_entropy import BoundaryCrossEntropy


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 6, 6))
    target[:, 0] = 255
    return torch.randn(2, 3, 6, 6), target


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_cross_entropy_equals_torch_where_torch_is_defined(batch, smoothing, weights) -> None:
    logits, target = batch
    expected = F.cross_entropy(
        logits,
        target,
        weight=None if weights is None else torch.tensor(weights),
        ignore_index=255,
        label_smoothing=smoothing,
    )
    loss = build_loss("cross_entropy", class_weights=weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, target), expected)


def test_pixels_of_classes_with_zero_weight_alone_cost_nothing() -> None:
    loss = build_loss("cross_entropy", class_weights=[1.0, 0.0])
    assert loss(torch.randn(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.int64)).item() == 0


def test_focal_equals_its_formula(batch) -> None:
    logits, target = batch
    probability = logits.softmax(1).gather(1, target.clamp(max=2).unsqueeze(1)).squeeze(1)
    per_pixel = -((1 - probability) ** 2) * probability.log()
    expected = per_pixel[target != 255].mean()
    torch.testing.assert_close(build_loss("focal")(logits, target), expected)


def test_a_focus_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gamma must be at least 1; got 0\.5"):
        build_loss("focal", gamma=0.5)
    with pytest.raises(ConfigError, match="gamma must be at least 1"):
        build_loss("sigmoid_focal", gamma=0)


def test_ohem_averages_the_pixels_under_the_threshold(batch) -> None:
    logits, target = batch
    losses = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    hard = (target != 255) & (losses >= -torch.log(torch.tensor(0.7)))
    torch.testing.assert_close(build_loss("ohem")(logits, target), losses[hard].mean())


def test_ohem_keeps_the_hardest_pixels_when_all_are_easy(batch) -> None:
    _, target = batch
    logits = F.one_hot(target.clamp(max=2), 3).movedim(-1, 1).float() * 9
    logits += torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    losses = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    hardest = losses[target != 255].topk(15).values
    torch.testing.assert_close(build_loss("ohem", keep=0.25)(logits, target), hardest.mean())


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"keep": 1.5}])
def test_ohem_refuses_shares_outside_zero_to_one(options) -> None:
    with pytest.raises(ConfigError, match="threshold and keep lie in 0 to 1"):
        build_loss("ohem", **options)


def test_boundary_band_is_where_two_classes_meet_and_void_is_no_border() -> None:
    target = torch.zeros(1, 1, 12, dtype=torch.int64)
    target[..., 6:] = 1
    target[..., :2] = 255
    band = BoundaryCrossEntropy(width=2).band(target)
    assert band.squeeze().nonzero().flatten().tolist() == [4, 5, 6, 7]


def test_boundary_without_a_border_costs_nothing() -> None:
    target = torch.zeros(1, 5, 5, dtype=torch.int64)
    assert build_loss("boundary")(torch.randn(1, 2, 5, 5), target).item() == 0


def test_boundary_refuses_a_band_of_no_width() -> None:
    with pytest.raises(ConfigError, match="width must be at least 1 pixel; got 0"):
        build_loss("boundary", width=0)


def test_bce_equals_torch_on_one_hot_labels(batch) -> None:
    logits, target = batch
    valid = target != 255
    picked, labels = logits.movedim(1, -1)[valid], F.one_hot(target[valid], 3).float()
    expected = F.binary_cross_entropy_with_logits(picked, labels)
    torch.testing.assert_close(build_loss("bce")(logits, target), expected)
