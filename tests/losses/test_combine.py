from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from segloom.config import LossConfig
from segloom.errors import ConfigError, UnknownNameError
from segloom.losses import build_loss, build_losses, list_losses


def test_total_is_the_sum_of_the_terms_by_weight() -> None:
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    losses = build_losses(LossConfig(terms={"cross_entropy": 0.5, "dice": 2.0}))
    values = losses(logits, target)
    assert set(values) == {"cross_entropy", "dice"}
    expected = 0.5 * values["cross_entropy"] + 2 * values["dice"]
    torch.testing.assert_close(losses.total(values), expected)
    torch.testing.assert_close(values["dice"], build_loss("dice")(logits, target))


def test_terms_take_options() -> None:
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    values = build_losses(LossConfig(terms={"focal:gamma=3": 1.0}))(logits, target)
    torch.testing.assert_close(values["focal"], build_loss("focal", gamma=3)(logits, target))


def test_an_enhancement_keeps_its_own_weight_unless_a_term_names_it() -> None:
    own = build_losses(LossConfig(), auxiliary={"afma": 0.3})
    assert own.weights == {"cross_entropy": 1.0, "afma": 0.3}
    named = build_losses(LossConfig(terms={"cross_entropy": 1, "afma": 2}), auxiliary={"afma": 0.3})
    assert named.weights == {"cross_entropy": 1.0, "afma": 2.0}


def test_class_weights_and_smoothing_reach_the_losses_that_take_them() -> None:
    config = LossConfig(terms={"cross_entropy": 1, "dice": 1, "ohem": 1}, label_smoothing=0.1)
    losses = build_losses(config, class_weights=[1.0, 4.0]).losses
    assert losses["cross_entropy"].class_weights.tolist() == [1.0, 4.0]
    assert losses["ohem"].class_weights.tolist() == [1.0, 4.0]
    assert losses["cross_entropy"].label_smoothing == 0.1


def test_an_unknown_term_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="unknown loss 'crossentropy': did you mean 'cross"):
        build_losses(LossConfig(terms={"crossentropy": 1}))


def test_an_unknown_option_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="option of loss focal 'gama': did you mean 'gamma'"):
        build_losses(LossConfig(terms={"focal:gama=3": 1}))


def test_the_weight_of_an_enhancement_that_is_not_attached_is_refused() -> None:
    config = LossConfig(terms={"cross_entropy": 1, "celt": 1})
    with pytest.raises(ConfigError, match="weighs celt, which is not attached; add --model"):
        build_losses(config, known_enhancements=["celt", "afma"])


def test_a_loss_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="names focal twice"):
        build_losses(LossConfig(terms={"focal": 1, "focal:gamma=3": 1}))


def test_no_loss_of_the_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="names no loss of the labels; add cross_entropy"):
        build_losses(LossConfig(terms={"afma": 1}), auxiliary={"afma": 1})


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_are_finite_and_not_negative(weight: float) -> None:
    with pytest.raises(ValidationError, match="the weight of dice must be 0 or more"):
        LossConfig(terms={"cross_entropy": 1, "dice": weight})


def test_a_sum_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least one loss needs a weight above 0"):
        LossConfig(terms={"cross_entropy": 0})


def test_there_are_a_dozen_losses_and_an_unknown_one_is_refused() -> None:
    assert len(list_losses()) == 12
    with pytest.raises(UnknownNameError, match="unknown loss 'dise': did you mean 'dice'"):
        build_loss("dise")
    with pytest.raises(ConfigError, match="alpha and beta are positive"):
        build_loss("tversky", alpha=-1)


class Five(torch.nn.Module):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return logits.sum() + 5.0


@pytest.mark.parametrize("name", ["keys", "items", "pop", "type", "forward", "training", "a.b"])
def test_a_loss_of_a_plugin_may_have_any_name(monkeypatch, name: str) -> None:
    monkeypatch.setattr("segloom.losses.combine.list_losses", lambda: [name, "dice"])
    monkeypatch.setattr(
        "segloom.losses.combine.build_term",
        lambda key, *rest: Five() if key == name else build_loss(key),
    )
    losses = build_losses(LossConfig(terms={name: 2.0, "dice": 1.0}))
    logits, target = torch.zeros(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    values = losses(logits, target)
    assert list(values) == [name, "dice"]
    assert losses.total(values) == 2 * 5.0 + values["dice"]
    losses.load_state_dict(losses.state_dict())
    assert not any(part.training for part in losses.train(False).modules())
