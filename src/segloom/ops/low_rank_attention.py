"""A non-negative relation between two sets of patches that is never written out.

The relation is ``A = left right^T / Q`` with one row per image patch and one column per feature
patch. With some thousand patches a side, A is the largest tensor of a network by far; yet all that
is done with it factors: a product ``A P`` is two thin products, and a squared error between two
such relations is a few inner products of Q x Q Gram matrices. Time and memory then grow with N + M
instead of N times M.

Axes: B batch, K classes, N rows (image patches), M columns (feature patches), Q pixels of a patch,
the inner dimension. ``left`` may have one class that stands for all K.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["average_values", "count_non_zero", "materialize", "squared_error"]

BLOCK = 2**20
"""Entries of the relation that exist at a time while non-zero ones are counted: 4 MiB."""

EPSILON = 1e-5
"""Added to the number of non-zero entries of a row; released AFMA code."""


def materialize(left: Tensor, right: Tensor) -> Tensor:
    """Write the relation out.

    Args:
        left: ``(B, K or 1, N, Q)``, non-negative.
        right: ``(B, K, M, Q)``, non-negative.

    Returns:
        ``(B, K, N, M)``: for large images several gigabytes.
    """
    return left @ right.transpose(-1, -2) / left.shape[-1]


def average_values(left: Tensor, right: Tensor, values: Tensor) -> Tensor:
    """Average ``values`` over the columns of each row, weighted by the relation.

    Args:
        left: ``(B, K or 1, N, Q)``, non-negative.
        right: ``(B, K, M, Q)``, non-negative.
        values: ``(B, K, M, Q)``.

    Returns:
        ``(B, K, N, Q)``: ``A values / n`` with n the number of non-zero entries in the row of A;
        zero where the whole row is. No gradient passes through n.
    """
    mixed = right.transpose(-1, -2) @ values  # (B, K, Q, Q)
    sums = left @ mixed
    return sums / ((count_non_zero(left, right) + EPSILON) * left.shape[-1])


@torch.no_grad()
def count_non_zero(left: Tensor, right: Tensor) -> Tensor:
    """Count the non-zero entries in each row of the relation, exactly, block by block.

    Args:
        left: ``(B, K or 1, N, Q)``, non-negative.
        right: ``(B, K, M, Q)``, non-negative.

    Returns:
        ``(B, K, N, 1)`` in the dtype of ``left``.
    """
    batch, classes, num_columns, _ = right.shape
    # The number of blocks of a traced program may not depend on its sizes: there it is one a class.
    size = left.shape[2]
    if not torch.compiler.is_compiling():
        entries = BLOCK if left.device.type == "cpu" else 64 * BLOCK  # fewer launches on a GPU
        size = max(1, entries // max(1, batch * num_columns))
    counts = []
    for k in range(classes):
        columns = right[:, k].sign().transpose(-1, -2)
        blocks = torch.split(left[:, min(k, left.shape[1] - 1)], size, dim=-2)
        # Products of what is active, not of its strength: small ones might underflow to zero.
        meetings = [torch.linalg.vector_norm(block.sign() @ columns, 0, dim=-1) for block in blocks]
        counts.append(torch.cat(meetings, dim=-1))
    return torch.stack(counts, dim=1).unsqueeze(-1)


def squared_error(
    left: Tensor,
    right: Tensor,
    gold_left: Tensor,
    gold_right: Tensor,
    row_weight: Tensor | None = None,
    column_weight: Tensor | None = None,
) -> Tensor:
    """Average the squared difference of two relations over all their entries.

    Args:
        left: ``(B, K or 1, N, Q)``.
        right: ``(B, K, M, Q)``.
        gold_left: ``(B, K, N, Q)``, the relation to compare with; no gradient.
        gold_right: ``(B, K, M, Q)``; no gradient.
        row_weight: ``(B, 1, N, 1)``, not negative; None for ones.
        column_weight: ``(B, 1, M, 1)``, not negative; None for ones. An entry weighs the product
            of its row's and its column's weight.

    Returns:
        Scalar, float32 or the inputs' dtype if wider; 0 if nothing has weight.
    """
    # The three terms nearly cancel once the relation is learnt, hence float64.
    wide = torch.float32 if left.device.type == "mps" else torch.float64

    def gram(first: Tensor, second: Tensor, weight: Tensor | None) -> Tensor:
        weighted = first if weight is None else first * weight
        return (weighted.transpose(-1, -2) @ second).to(wide)

    own = gram(left, left, row_weight) * gram(right, right, column_weight)
    cross = gram(gold_left, left, row_weight) * gram(gold_right, right, column_weight)
    gold = gram(gold_left, gold_left, row_weight) * gram(gold_right, gold_right, column_weight)
    total = own.sum() - 2 * cross.sum() + gold.sum()
    batch, classes, num_columns, inner = right.shape
    if row_weight is None or column_weight is None:
        error = total / (batch * classes * left.shape[-2] * num_columns * inner**2)
    else:
        pairs = row_weight.sum((1, 2, 3)) * column_weight.sum((1, 2, 3))
        error = total / (pairs.sum().to(wide) * classes * inner**2).clamp(min=1e-12)
    return error.clamp(min=0).to(left.dtype)  # rounding may leave a zero below zero
