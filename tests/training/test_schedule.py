from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.recorded import Recording

from segloom.config import OptimConfig
from segloom.models import create_model
from segloom.training.optimizer import build_optimizer, parameter_groups
from segloom.training.schedule import rate_factor

STEPS = 100


def factors(**options: object) -> list[float]:
    config = OptimConfig(**options)
    return [rate_factor(config, step, STEPS) for step in range(STEPS)]


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant"])
def test_warm_up_rises_linearly_from_one_percent_to_one(schedule: str) -> None:
    values = factors(schedule=schedule, warmup=0.1)
    assert values[0] == pytest.approx(0.01)
    assert values[5] == pytest.approx(0.505)
    assert values[10] == pytest.approx(1.0)
    assert max(values) == pytest.approx(1.0)


def test_poly_is_the_power_of_what_is_left() -> None:
    values = factors(schedule="poly", power=0.9)
    assert values[0] == 1
    assert values[50] == pytest.approx(0.5**0.9)
    assert 0 < values[-1] < 0.02


def test_poly_may_move_with_the_epochs_or_one_ahead_of_them() -> None:
    def by_epoch(rule: str) -> list[float]:
        config = OptimConfig(schedule="poly", power=1.0, poly_by=rule)
        return [rate_factor(config, step, STEPS, epochs=4) for step in (0, 24, 25, 60, 99)]

    assert by_epoch("epoch") == pytest.approx([1, 1, 0.75, 0.5, 0.25])
    assert by_epoch("epoch_ahead") == pytest.approx([0.75, 0.75, 0.5, 0.25, 0])
    assert by_epoch("step") == pytest.approx([1, 0.76, 0.75, 0.4, 0.01])


def test_cosine_is_half_a_cosine() -> None:
    values = factors(schedule="cosine")
    assert values[25] == pytest.approx(0.853553, abs=1e-6)
    assert values[50] == pytest.approx(0.5)


def test_one_cycle_equals_torch() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    # torch puts the peak at 0.3 * 100 - 1, ours at 0.3 * 100 steps.
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=STEPS, pct_start=0.31, cycle_momentum=False
    )
    expected = []
    for _ in range(STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cycle.step()
    assert factors(schedule="onecycle") == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant", "onecycle"])
@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_the_shortest_trainings_have_a_rate(schedule: str, num_steps: int) -> None:
    config = OptimConfig(schedule=schedule, warmup=0.5)
    for step in range(num_steps + 1):  # Lightning asks for the step after the last
        assert 0 <= rate_factor(config, step, num_steps) <= 1


@pytest.fixture(scope="module")
def model():
    return create_model("fpn", encoder_name="tu-test_resnet", classes=2)


def test_norms_and_biases_are_not_decayed_and_the_encoder_has_its_own_rate(model) -> None:
    config = OptimConfig(lr=1e-2, encoder_lr=1e-3, weight_decay=0.1)
    groups = parameter_groups(model, config)
    encoder = {id(parameter) for parameter in model.encoder.parameters()}
    seen = 0
    for group in groups:
        for parameter in group["params"]:
            seen += 1
            assert group["lr"] == (1e-3 if id(parameter) in encoder else 1e-2)
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)
    assert seen == sum(1 for _ in model.parameters())
    assert groups[-1]["lr"] == 1e-2


def test_the_encoder_decays_at_a_rate_of_its_own_if_asked(model) -> None:
    config = OptimConfig(weight_decay=0.1, encoder_weight_decay=0.0, decay_all=True)
    encoder = {id(parameter) for parameter in model.encoder.parameters()}
    for group in parameter_groups(model, config):
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.0 if id(parameter) in encoder else 0.1)


def test_all_parameters_decay_if_asked(model) -> None:
    groups = parameter_groups(model, OptimConfig(weight_decay=0.1, decay_all=True))
    assert {group["weight_decay"] for group in groups} == {0.1}
    assert sum(len(group["params"]) for group in groups) == sum(1 for _ in model.parameters())


def test_frozen_parameters_are_left_out(model) -> None:
    model.freeze_encoder()
    count = sum(len(group["params"]) for group in parameter_groups(model, OptimConfig()))
    model.unfreeze_encoder()
    assert count == sum(1 for _ in model.decoder.parameters()) + sum(
        1 for _ in model.segmentation_head.parameters()
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", "AdamW"), ("sgd", "SGD"), ("rmsprop", "RMSprop")]
)
def test_every_optimiser_takes_a_step(model, name: str, kind: str) -> None:
    optimizer = build_optimizer(model, OptimConfig(name=name))
    assert type(optimizer).__name__ == kind
    before = model.segmentation_head[0].weight.detach().clone()
    model.segmentation_head[0].weight.grad = torch.ones_like(before)
    optimizer.step()
    assert not torch.equal(before, model.segmentation_head[0].weight)


def test_poly_over_thirty_thousand_steps_is_the_recorded_one(
    recorded: Callable[[str], Recording],
) -> None:
    """The LinkNet tutorial divides by 30000 steps, whatever the length of the training."""
    data = recorded("ln_misc")
    program = data.json("meta.lr")  # 5e-4, 30000 steps, power 0.9
    config = OptimConfig(schedule="poly", power=program["power"], lr=program["init"])
    last = program["max_iter"]
    rates = [config.lr * rate_factor(config, step, last) for step in data["in.lr_iters"].tolist()]
    data.compare(rates, "out.lr_values", 1e-6, kind="learning rate")
