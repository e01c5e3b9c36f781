"""One logit is the pair (0, z), whose softmax is the sigmoid of z."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from segloom.ops.binary import both_logits


def test_losses_and_labels_of_the_pair_are_those_of_the_sigmoid():
    z = torch.randn(2, 1, 5, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    truth = torch.arange(2 * 5 * 7).reshape(2, 5, 7) % 2
    pair = both_logits(z)
    torch.testing.assert_close(pair.softmax(dim=1)[:, 1:], z.sigmoid())
    torch.testing.assert_close(pair.argmax(dim=1), (z[:, 0].sigmoid() > 0.5).long())
    ours = F.cross_entropy(pair, truth)
    reference = F.binary_cross_entropy_with_logits(z[:, 0], truth.float())
    torch.testing.assert_close(ours, reference)
    for left, right in zip(
        torch.autograd.grad(ours, z, retain_graph=True),
        torch.autograd.grad(reference, z),
        strict=True,
    ):
        torch.testing.assert_close(left, right)


def test_several_logits_stay_as_they_are():
    logits = torch.zeros(1, 3, 2, 2)
    assert both_logits(logits) is logits
