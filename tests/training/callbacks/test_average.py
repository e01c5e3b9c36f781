"""The moving average of the weights: its formula, and the weights that come back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from segloom.training.callbacks.average import WeightAverage


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def turn(average, step, change=None):
    """Take one batch, after which ``step`` optimiser steps are done."""
    if change is not None:
        change()
    average.on_train_batch_end(SimpleNamespace(global_step=step), None, None, None, 0)


def fill(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.99])
def test_the_average_is_its_formula(decay):
    model = network()
    fill(model, 0.0)
    average = WeightAverage(model, decay)
    average.on_train_start(None, None)
    expected = 0.0
    for update in range(5):
        turn(average, update + 1, lambda value=update + 1.0: fill(model, value))
        share = min(decay, (1 + update) / (10 + update))
        expected = share * expected + (1 - share) * (update + 1.0)
    assert average.updates == 5
    torch.testing.assert_close(average.average["0.weight"], torch.full((2, 2), expected))


def test_batches_without_a_step_change_nothing():
    model = network()
    average = WeightAverage(model, 0.5)
    average.on_train_start(None, None)
    turn(average, 1)
    before = average.average["0.weight"].clone()
    turn(average, 1, lambda: fill(model, 7.0))
    assert average.updates == 1
    assert torch.equal(average.average["0.weight"], before)


def test_statistics_are_averaged_and_counters_copied():
    model = network()
    average = WeightAverage(model, 0.99)
    average.on_train_start(None, None)
    model[1].running_mean.fill_(10.0)
    model[1].num_batches_tracked.fill_(41)
    turn(average, 1)
    torch.testing.assert_close(average.average["1.running_mean"], torch.full((2,), 9.0))
    assert average.average["1.num_batches_tracked"] == 41


def test_validation_sees_the_average_and_training_its_own_weights():
    model = network()
    average = WeightAverage(model, 0.5)
    average.on_train_start(None, None)
    turn(average, 1, lambda: fill(model, 3.0))
    mean = average.average["0.weight"].clone()
    average.on_validation_start(None, None)
    assert torch.equal(model[0].weight, mean)
    average.on_validation_end(None, None)
    assert (model[0].weight == 3).all()
    with average.in_place():
        assert torch.equal(model[0].weight, mean)
    assert (model[0].weight == 3).all()


def test_an_error_while_the_average_is_in_place_brings_the_weights_back():
    model = network()
    average = WeightAverage(model, 0.5)
    average.on_train_start(None, None)
    turn(average, 1, lambda: fill(model, 3.0))

    def fail():
        with average.in_place():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (model[0].weight == 3).all()


def test_the_check_before_training_has_no_average_yet():
    model = network()
    average, before = WeightAverage(model, 0.5), model[0].weight.clone()
    average.on_validation_start(None, None)
    average.on_validation_end(None, None)
    assert torch.equal(model[0].weight, before)


def test_a_resumed_average_goes_on():
    model = network()
    one = WeightAverage(model, 0.9)
    one.on_train_start(None, None)
    turn(one, 1, lambda: fill(model, 1.0))
    other = WeightAverage(model, 0.9)
    other.load_state_dict({**one.state_dict(), "average": {**one.average}})
    other.on_train_start(None, None)
    other.average = {name: value.clone() for name, value in other.average.items()}
    for average in (one, other):
        turn(average, 2, lambda: fill(model, 5.0))
    assert other.updates == one.updates == 2
    for name, value in one.average.items():
        assert torch.equal(other.average[name], value), name
