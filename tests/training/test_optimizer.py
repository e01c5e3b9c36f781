"""Which parameters learn at which rate and decay, and what the optimisers are."""

from __future__ import annotations

import pytest
import torch

from segloom.config.training import OptimConfig
from segloom.models import create_model
from segloom.training.layers import encoder_layers
from segloom.training.optimizer import build_optimizer, parameter_groups


@pytest.fixture(scope="module")
def model():
    return create_model(
        "unet", encoder_name="tu-test_resnet", classes=2, enhancements="se:place=decoder"
    )


def by_parameter(model, **options):
    """Map every trainable parameter's name to its rate and decay."""
    groups = parameter_groups(model, OptimConfig(**options))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }
    assert sum(len(group["params"]) for group in groups) == len(found)
    return found


def test_every_parameter_is_in_one_group_with_its_rate(model):
    found = by_parameter(model, lr=0.1, encoder_lr=0.01, weight_decay=0.5)
    assert set(found) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        rate = 0.01 if name.startswith("encoder.") else 0.1
        assert found[name] == (rate, 0.5 if parameter.ndim > 1 else 0.0), name


def test_the_encoder_learns_like_the_rest_unless_told(model):
    assert {rate for rate, _ in by_parameter(model, lr=0.1).values()} == {0.1}


def test_all_parameters_decay_if_asked_and_the_encoder_by_its_own(model):
    found = by_parameter(model, weight_decay=0.5, encoder_weight_decay=0.0, decay_all=True)
    for name, (_, decay) in found.items():
        assert decay == (0.0 if name.startswith("encoder.") else 0.5)


def test_frozen_parameters_are_left_out(model):
    model.encoder.requires_grad_(False)
    try:
        assert not [name for name in by_parameter(model) if name.startswith("encoder.")]
    finally:
        model.encoder.requires_grad_(True)


def test_layers_learn_the_slower_the_deeper_they_lie(model):
    found = by_parameter(model, lr=0.1, encoder_lr=0.01, layer_decay=0.5)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    layers = encoder_layers(model)
    for above, layer in enumerate(reversed(layers)):
        for parameter in layer:
            assert found[names[id(parameter)]][0] == pytest.approx(0.01 * 0.5**above)
    assert found["segmentation_head.0.weight"][0] == 0.1


def test_the_rest_comes_last_since_its_rate_is_shown(model):
    groups = parameter_groups(model, OptimConfig(lr=0.1, encoder_lr=0.01))
    assert [group["lr"] for group in groups] == [0.01, 0.01, 0.1, 0.1]


@pytest.mark.parametrize(
    ("name", "kind", "momentum"),
    [
        ("adamw", torch.optim.AdamW, None),
        ("sgd", torch.optim.SGD, 0.7),
        ("rmsprop", torch.optim.RMSprop, 0.7),
    ],
)
def test_optimisers_by_name(model, name, kind, momentum):
    options = {} if momentum is None else {"momentum": momentum}
    found = build_optimizer(model, OptimConfig(name=name, lr=0.3, **options), fused=False)
    assert isinstance(found, kind)
    assert found.param_groups[-1]["lr"] == 0.3
    assert found.defaults.get("momentum") == momentum
