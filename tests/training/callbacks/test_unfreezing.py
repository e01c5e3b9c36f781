"""The encoder's layers learn from the last one on, by the epoch alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from segloom.models import create_model
from segloom.training.callbacks.unfreezing import Unfreezing


@pytest.fixture(scope="module")
def model():
    return create_model("unet", encoder_name="tu-test_resnet", classes=2)


@pytest.mark.parametrize(
    ("frozen", "every", "expected"),
    [
        (0, None, [9, 9, 9, 9]),
        (2, None, [0, 0, 9, 9]),
        (1, 1, [0, 1, 2, 3]),
        (1, 2, [0, 1, 1, 2, 2, 3]),
        (0, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]),
    ],
)
def test_one_more_layer_learns_after_every_so_many_epochs(model, frozen, every, expected):
    hook = Unfreezing(model, frozen, every)
    hook.layers = [[]] * 9
    assert [hook.count(epoch) for epoch in range(len(expected))] == expected


def learning(layers):
    return [all(parameter.requires_grad for parameter in layer) for layer in layers]


def test_the_last_layers_learn_first_and_frozen_ones_lose_their_gradient(model):
    hook = Unfreezing(model, 1, 1)
    number = len(hook.layers)
    assert number > 2
    for layer in hook.layers:
        for parameter in layer:
            parameter.grad = torch.ones_like(parameter)
    hook.on_train_epoch_start(SimpleNamespace(current_epoch=2), None)
    assert learning(hook.layers) == [False] * (number - 2) + [True] * 2
    assert model.is_encoder_frozen
    assert hook.layers[0][0].grad is None
    assert hook.layers[-1][0].grad is not None
    assert all(parameter.requires_grad for parameter in model.decoder.parameters())
    hook.choose(0)
    assert learning(hook.layers) == [False] * number
    hook.choose(number)
    assert learning(hook.layers) == [True] * number
    assert not model.is_encoder_frozen
