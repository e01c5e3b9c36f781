"""From logits to labels: each mode by its own formula, and ties by their rule."""

from __future__ import annotations

import pytest
import torch

from segloom.labels.bits import label_type
from segloom.labels.space import network_space
from segloom.ops.channels import channels_of, label_scores


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_lowest_id_wins_where_scores_are_equal(dtype):
    scores = torch.tensor(
        [[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [-1, -2, -1, 5]], dtype=dtype
    )
    labels = label_scores(scores.T[None, :, None])
    assert labels.dtype == torch.uint8
    assert labels.is_contiguous()
    assert labels.tolist() == [[[1, 0, 3]]]


def test_the_highest_of_255_classes_is_found():
    scores = torch.zeros(1, 255, 1, 2)
    scores[0, 254, 0, 1] = 1
    assert label_scores(scores).tolist() == [[[0, 254]]]


def test_one_logit_is_the_second_of_two_classes():
    channels = channels_of("binary")
    logits = torch.tensor([-1.0, 0.0, 2.0]).view(1, 1, 1, 3)
    both = channels.per_class(logits)
    assert both.tolist() == [[[[0.0, 0.0, 0.0]], [[-1.0, 0.0, 2.0]]]]
    torch.testing.assert_close(channels.activate(both)[:, 1:], logits.sigmoid())
    assert channels.label_logits(both).tolist() == [[[0, 0, 1]]]


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_labels_of_logits_are_those_of_their_probabilities_and_of_the_space(mode):
    torch.manual_seed(0)
    number = 1 if mode == "binary" else 5
    channels, space = channels_of(mode), network_space(mode, number)
    logits = channels.per_class(torch.randn(2, number, 6, 7))
    assert logits.shape == (2, space.num_classes, 6, 7)
    probabilities = channels.activate(logits)
    labels = channels.label_logits(logits)
    assert torch.equal(labels, channels.label_probabilities(probabilities))
    for found, one in zip(labels, probabilities, strict=True):
        assert (space.decide(one.numpy()) == found.numpy()).all()
    assert len(labels.unique()) > 1


def test_exclusive_probabilities_add_up_to_one_and_others_do_not():
    logits = torch.full((1, 4, 1, 1), 2.0)
    assert channels_of("multiclass").activate(logits).sum() == 1
    torch.testing.assert_close(channels_of("multilabel").activate(logits), logits.sigmoid())


@pytest.mark.parametrize("number", [7, 8, 24])
def test_overlapping_classes_from_a_half_on_set_their_bits(number):
    logits = torch.full((1, number, 1, 2), -1.0)
    logits[0, number - 1] = 0.0  # a probability of a half
    labels = channels_of("multilabel").label_logits(logits)
    assert labels.dtype == getattr(torch, label_type(number))
    assert labels.tolist() == [[[1 << (number - 1 if number <= 7 else number + 7)] * 2]]
