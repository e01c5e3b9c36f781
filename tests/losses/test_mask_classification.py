"""The loss of mask classification against its formula, with the matching tried out in full."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch.nn import functional as F

from segloom.losses.mask_classification import mask_classification_loss, match_queries

QUERIES, CLASSES = 4, 3


@pytest.fixture
def sample():
    torch.manual_seed(3)
    masks = torch.randn(2, QUERIES, 4, 6, dtype=torch.float64) * 2
    classes = torch.randn(2, QUERIES, CLASSES + 1, dtype=torch.float64)
    target = torch.randint(0, CLASSES, (2, 4, 6)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    target[0][target[0] == 1] = 0  # one class is absent from the first image
    target[1, :4] = 255
    return masks, classes, target


def pair_costs(masks, target, known):
    """Cross-entropy and Dice loss of one mask with one class, over the labelled pixels."""
    share = masks.sigmoid()[known]
    wanted = target[known].double()
    bce = F.binary_cross_entropy(share, wanted)
    return bce, 1 - (2 * (share * wanted).sum() + 1) / (share.sum() + wanted.sum() + 1)


def test_the_loss_is_the_formula_of_the_paper(sample):
    masks, classes, target = sample
    small = target[:, ::4, ::4]
    total, matches, labels = 0.0, 0, torch.full((2, QUERIES), CLASSES)
    for image in range(2):
        known = small[image] != 255
        present = small[image][known].unique().tolist()
        best = None
        for queries in permutations(range(QUERIES), len(present)):
            cost, masked = 0.0, 0.0
            for query, name in zip(queries, present, strict=True):
                bce, dice = pair_costs(masks[image, query], small[image] == name, known)
                masked += 5 * bce + 5 * dice
                cost += 5 * bce + 5 * dice - 2 * classes[image, query].softmax(-1)[name]
            if best is None or cost < best[0]:
                best = (cost, masked, queries)
        total, matches = total + best[1], matches + len(present)
        labels[image, list(best[2])] = torch.tensor(present)
    weight = torch.tensor([1, 1, 1, 0.1], dtype=torch.float64)
    named = -classes.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    expected = 2 * (named * weight[labels]).sum() / weight[labels].sum() + total / matches
    found = mask_classification_loss(masks, classes, target)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_void_pixels_weigh_nothing(sample):
    masks, classes, target = sample
    expected = mask_classification_loss(masks, classes, target)
    masks[1, :, 0] += 50  # below void
    torch.testing.assert_close(mask_classification_loss(masks, classes, target), expected)


def test_an_image_of_void_learns_that_there_is_nothing(sample):
    masks, classes, target = sample
    found = mask_classification_loss(masks, classes, torch.full_like(target, 255))
    nothing = torch.full((2 * QUERIES,), CLASSES)
    expected = 2 * F.cross_entropy(classes.flatten(0, 1), nothing)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_transformers_costs_choose_the_same_queries(sample):
    eomt = pytest.importorskip("transformers.models.eomt.modeling_eomt")
    masks, classes, _ = sample
    logits, targets = masks[0].flatten(1), (torch.rand(2, 24) > 0.5).double()
    present = torch.tensor([0, 2])
    cost = 5 * eomt.pair_wise_sigmoid_cross_entropy_loss(logits, targets)
    cost = cost + 5 * eomt.pair_wise_dice_loss(logits, targets)
    cost = cost - 2 * classes[0].softmax(-1)[:, present]
    rows, columns = eomt.linear_sum_assignment(cost)
    found = match_queries(logits, classes[0], targets, present, torch.ones(24).double())
    assert [part.tolist() for part in found] == [rows.tolist(), columns.tolist()]
