"""Counts of tensors are those of arrays, and add over batches and processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segloom.errors import ConfigError, DataError
from segloom.metrics import count_confusion, count_tables
from segloom.training.streaming import ConfusionMatrix, MultilabelTables


def draw(seed: int, num_classes: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, num_classes, shape, dtype=np.uint8)
    truth[random.random(shape) < 0.2] = 255
    return random.integers(0, num_classes, shape, dtype=np.uint8), truth


def test_metric_sums_batches_of_any_integer_dtype():
    prediction, truth = draw(1, 11, (3, 8, 8))
    metric = ConfusionMatrix(11)
    metric.update(torch.from_numpy(prediction[:1]), torch.from_numpy(truth[:1]))
    metric.update(torch.from_numpy(prediction[1:]).long(), torch.from_numpy(truth[1:]).int())
    result = metric.compute()
    assert result.dtype == torch.int64
    np.testing.assert_array_equal(result.numpy(), count_confusion(prediction, truth, 11))
    metric.reset()
    assert metric.matrix.sum() == 0


def test_metric_adds_the_states_of_two_processes():
    """`dist_reduce_fx` is what torchmetrics applies to the gathered states."""
    prediction, truth = draw(2, 5, (2, 8, 8))
    parts = [ConfusionMatrix(5), ConfusionMatrix(5)]
    for metric, p, t in zip(parts, prediction, truth, strict=True):
        metric.update(torch.from_numpy(p), torch.from_numpy(t))
    gathered = torch.stack([metric.matrix for metric in parts])
    reduced = parts[0]._reductions["matrix"](gathered)
    np.testing.assert_array_equal(reduced.numpy(), count_confusion(prediction, truth, 5))


def test_metric_called_in_a_step_returns_the_batch_and_keeps_the_sum():
    prediction, truth = (torch.from_numpy(array) for array in draw(4, 5, (2, 8, 8)))
    metric = ConfusionMatrix(5)
    first = metric(prediction[:1], truth[:1])
    metric(prediction[1:], truth[1:])
    assert first.sum() == (truth[0] != 255).sum()
    assert metric.compute().sum() == (truth != 255).sum()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 2), "take the argmax first"),
        (torch.full((2, 2), -1), "labels lie in 0 to 255; got -1 to -1"),
        (torch.full((2, 2), 256), "labels lie in 0 to 255"),
    ],
)
def test_metric_refuses_what_is_not_a_label(labels, message):
    with pytest.raises(DataError, match=message):
        ConfusionMatrix(3).update(labels, torch.zeros(2, 2, dtype=torch.uint8))


@pytest.mark.parametrize("num_classes", [0, 256])
def test_a_class_count_out_of_range_is_refused(num_classes):
    with pytest.raises(ConfigError, match=f"1 to 255 classes, not {num_classes}"):
        ConfusionMatrix(num_classes)


def test_tables_of_batches_add_up_to_those_of_the_whole():
    metric = MultilabelTables(3)
    pairs = [draw(seed, 2**3, (6, 8)) for seed in range(3)]
    for prediction, truth in pairs:
        metric.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None].long())
    whole = count_tables(*(np.concatenate(maps) for maps in zip(*pairs, strict=True)), 3)
    np.testing.assert_array_equal(metric.compute().numpy(), whole)
    assert whole.sum() == 3 * sum((truth != 255).sum() for _, truth in pairs)


def test_more_classes_than_bits_are_refused():
    with pytest.raises(ConfigError, match="1 to 55 classes"):
        MultilabelTables(56)
