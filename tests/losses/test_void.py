"""What the void rule is made of: masked logits, batches of void, and the mean over pixels."""

from __future__ import annotations

import torch
from torch import nn

from segloom.losses.void import SkipEmpty, VoidRule, mask_void, mean_over_pixels


class Refuses(nn.Module):
    def forward(self, logits, target):
        raise AssertionError("was called")


def test_logits_of_void_are_zero_and_all_are_float32():
    logits = torch.full((1, 2, 1, 3), 7.0, dtype=torch.bfloat16)
    masked = mask_void(logits, torch.tensor([[[0, 255, 1]]]))
    assert masked.dtype == torch.float32
    assert masked.tolist() == [[[[7, 0, 7]], [[7, 0, 7]]]]


def test_the_wrapped_loss_sees_masked_logits_and_the_target():
    class Records(nn.Module):
        def forward(self, logits, target):
            self.seen = logits, target
            return logits.sum()

    loss, target = Records(), torch.tensor([[[0, 255]]])
    value = VoidRule(loss)(torch.tensor([[[[2.0, torch.inf]]]]), target)
    assert value == 2
    assert loss.seen[0].tolist() == [[[[2, 0]]]]
    assert loss.seen[1] is target


def test_a_batch_of_void_never_reaches_the_loss_and_keeps_its_graph():
    logits = torch.zeros(1, 2, 1, 2, requires_grad=True)
    value = SkipEmpty(Refuses())(logits, torch.full((1, 1, 2), 255))
    value.backward()
    assert value == 0
    assert logits.grad is not None


def test_one_labelled_pixel_is_enough_to_reach_it():
    class Counts(nn.Module):
        def forward(self, logits, target):
            return (target != 255).sum()

    assert SkipEmpty(Counts())(torch.zeros(1, 2, 1, 2), torch.tensor([[[255, 0]]])) == 1


def test_the_mean_divides_by_the_weights_and_is_zero_without_any():
    values, weights = torch.tensor([[[6.0, 0.0, 2.0]]]), torch.tensor([[[3.0, 0.0, 1.0]]])
    for over_processes in (False, True):  # without processes both are the same
        assert mean_over_pixels(values, weights, over_processes=over_processes) == 2
    empty = torch.zeros(1, 1, 3)
    assert mean_over_pixels(empty, empty, over_processes=False) == 0
