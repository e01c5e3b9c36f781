"""The balanced edge loss equals its formula, written out, and passes over what does not count."""

from __future__ import annotations

import pytest
import torch

from segloom.enhancements.hed.loss import balanced_edge_loss


def test_it_is_the_formula_summed_over_pixels_and_balanced_in_each_image():
    torch.manual_seed(0)
    logits = torch.randn(3, 6, 7, 9)
    target = (torch.rand(3, 7, 9) < 0.2).long()
    target[1, :3] = 255
    target[2, 0, 0] = 7
    expected = torch.zeros(6)
    for b in range(3):
        edges, plain = (target[b] == 1).sum(), (target[b] == 0).sum()
        beta = plain / (edges + plain)
        for s in range(6):
            p = logits[b, s].sigmoid()
            expected[s] -= beta * p[target[b] == 1].log().sum()
            expected[s] -= (1 - beta) * (1 - p)[target[b] == 0].log().sum()
    torch.testing.assert_close(balanced_edge_loss(logits, target), expected)


def test_what_does_not_count_gets_no_gradient():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    target = torch.tensor([[[1, 0, 255, 9]] * 4])
    balanced_edge_loss(logits, target).sum().backward()
    assert logits.grad is not None
    assert logits.grad[..., :2].ne(0).all()
    assert logits.grad[..., 2:].eq(0).all()


@pytest.mark.parametrize("value", [0, 1, 255])
def test_an_image_of_one_kind_costs_nothing(value):
    loss = balanced_edge_loss(torch.randn(1, 1, 4, 4), torch.full((1, 4, 4), value))
    assert loss.tolist() == [0.0]
