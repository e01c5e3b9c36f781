"""The loss of mask classification: each class of an image is matched with one query.

Paper: Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation"
(Mask2Former), CVPR 2022, section 4.1, with the weights that EoMT keeps. With the Hungarian matching
of queries and classes of the least cost::

    cost = 2 (1 - p_q(k)) + 5 bce(m_q, t_k) + 5 dice(m_q, t_k)
    loss = 2 ce(p, matched or "no object") + (5 bce + 5 dice) summed over matches / matches of batch

Differences: masks are compared on their whole grid, whose targets are shares of labelled pixels,
instead of at 12544 random points; void pixels weigh nothing.
Axes: B batch, Q queries, K classes, M classes in one image, u v grid of masks, P = u v.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from segloom.types import IGNORE_INDEX

__all__ = ["mask_classification_loss", "match_queries"]

CLASS_WEIGHT, MASK_WEIGHT, DICE_WEIGHT = 2.0, 5.0, 5.0
NO_OBJECT_WEIGHT = 0.1


def mask_classification_loss(masks: Tensor, classes: Tensor, target: Tensor) -> Tensor:
    """Match the classes of every image with queries and compare.

    Args:
        masks: Logits ``(B, Q, u, v)``.
        classes: Logits ``(B, Q, K + 1)``, the last of "no object".
        target: int64 ``(B, H, W)``, class ids and 255 for void.

    Returns:
        A scalar.
    """
    masks, classes = masks.float().flatten(2), classes.float()
    num_classes = classes.shape[-1] - 1
    shares, weight = _shares(target, num_classes, masks.shape[-1], masks)
    labels = torch.full(classes.shape[:2], num_classes, device=masks.device)
    total, matches = masks.sum() * 0, 0
    for image in range(len(masks)):
        present = shares[image].sum(-1).nonzero().flatten()  # (M,)
        targets = shares[image, present]  # (M, P)
        rows, columns = match_queries(masks[image], classes[image], targets, present, weight[image])
        labels[image, rows] = present[columns]
        bce, dice = _pairs(masks[image, rows], targets[columns], weight[image])
        total = total + (MASK_WEIGHT * bce + DICE_WEIGHT * dice).diagonal().sum()
        matches += len(rows)
    importance = classes.new_ones(num_classes + 1)
    importance[-1] = NO_OBJECT_WEIGHT
    named = F.cross_entropy(classes.flatten(0, 1), labels.flatten(), weight=importance)
    return CLASS_WEIGHT * named + total / max(matches, 1)


@torch.no_grad()
def match_queries(
    masks: Tensor, classes: Tensor, targets: Tensor, present: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Find the matching of the least cost.

    Args:
        masks: Logits ``(Q, P)``.
        classes: Logits ``(Q, K + 1)``.
        targets: ``(M, P)``, 0 to 1.
        present: Class ids ``(M,)``.
        weight: ``(P,)``: 0 for void.

    Returns:
        Queries and places in ``present``, each ``(min(Q, M),)``.
    """
    bce, dice = _pairs(masks, targets, weight)
    named = classes.softmax(-1)[:, present]
    cost = MASK_WEIGHT * bce + DICE_WEIGHT * dice - CLASS_WEIGHT * named
    largest = torch.finfo(cost.dtype).max
    cost = cost.nan_to_num(nan=largest, posinf=largest, neginf=largest)
    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    device = masks.device
    return torch.as_tensor(rows, device=device), torch.as_tensor(columns, device=device)


def _pairs(masks: Tensor, targets: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compare every mask with every target: mean cross-entropy and Dice loss, ``(Q, M)`` each."""
    count = weight.sum().clamp(min=1e-6)
    positive, negative = F.softplus(-masks) * weight, F.softplus(masks) * weight
    bce = (positive @ targets.T + negative @ (1 - targets).T) / count
    shares = masks.sigmoid() * weight
    both = shares @ targets.T
    each = shares.sum(-1)[:, None] + (targets * weight).sum(-1)
    return bce, 1 - (2 * both + 1) / (each + 1)


def _shares(target: Tensor, classes: int, places: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Average labels over the grid of the masks.

    Returns:
        Share of each class among the labelled pixels of a place, ``(B, K, P)``, and share of those
        among all its pixels, ``(B, P)``.
    """
    height, width = target.shape[-2:]
    step = round((height * width / places) ** 0.5)  # pixels of a side of a place
    known = target != IGNORE_INDEX
    one_hot = F.one_hot(target.where(known, 0), classes) * known[..., None]
    counts = F.avg_pool2d(one_hot.movedim(-1, 1).to(like), step)  # (B, K, u, v)
    weight = counts.sum(1)
    return (counts / weight.clamp(min=1e-6)[:, None]).flatten(2), weight.flatten(1)
