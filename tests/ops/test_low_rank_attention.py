"""Everything done with the factors equals the same done with the whole relation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segloom.ops import low_rank_attention
from segloom.ops.low_rank_attention import (
    average_values,
    count_non_zero,
    materialize,
    squared_error,
)


def random_factors(seed: int, *, active: float, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Non-negative factors with the given share of active features: few make empty entries."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        values = torch.rand(shape, generator=generator, dtype=torch.double)
        return values * (torch.rand(shape, generator=generator) < active)

    return draw(2, classes, 11, 9), draw(2, 3, 7, 9)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]), st.sampled_from([1, 3]))
@settings(max_examples=40, deadline=None)
def test_count_is_exact(seed: int, active: float, classes: int) -> None:
    left, right = random_factors(seed, active=active, classes=classes)
    expected = materialize(left, right).gt(0).sum(-1, keepdim=True)
    assert torch.equal(count_non_zero(left, right), expected.double())


def test_count_is_the_same_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = random_factors(1, active=0.2)
    whole = count_non_zero(left, right)
    monkeypatch.setattr(low_rank_attention, "BLOCK", 30)
    assert torch.equal(count_non_zero(left, right), whole)


def test_count_sees_products_too_small_for_the_dtype() -> None:
    tiny = torch.full((1, 1, 1, 1), 1e-30)
    assert materialize(tiny, tiny).item() == 0
    assert count_non_zero(tiny, tiny).item() == 1


@pytest.mark.parametrize("classes", [1, 3])
def test_average_equals_the_relation_over_its_count(classes: int) -> None:
    left, right = random_factors(2, active=0.2, classes=classes)
    left[0, 0, 0] = 0
    values = torch.rand(2, 3, 7, 9, dtype=torch.double)
    relation = materialize(left, right)
    expected = relation / (relation.gt(0).sum(-1, keepdim=True) + 1e-5) @ values
    actual = average_values(left, right, values)
    torch.testing.assert_close(actual, expected)
    assert actual[0, 0, 0].eq(0).all()


def test_average_passes_gradients_to_both_factors() -> None:
    left, right = (factor.requires_grad_() for factor in random_factors(3, active=1.0))
    values = torch.rand(2, 3, 7, 9, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda a, b: average_values(a, b, values), (left, right))


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_error_equals_the_squared_difference_of_relations(classes: int, weighted: bool) -> None:
    left, right = random_factors(4, active=0.5, classes=classes)
    gold_left, gold_right = random_factors(5, active=0.5)
    rows, columns = torch.rand(2, 1, 11, 1).double(), torch.rand(2, 1, 7, 1).double()
    difference = (materialize(left, right) - materialize(gold_left, gold_right)) ** 2
    if not weighted:
        actual = squared_error(left, right, gold_left, gold_right)
        torch.testing.assert_close(actual, difference.mean())
        return
    weight = (rows @ columns.transpose(-1, -2)).expand_as(difference)
    actual = squared_error(left, right, gold_left, gold_right, rows, columns)
    torch.testing.assert_close(actual, (difference * weight).sum() / weight.sum())


def test_error_of_equal_relations_is_zero_and_never_negative() -> None:
    left, right = (factor.float() for factor in random_factors(6, active=0.5))
    error = squared_error(left, right, left, right)
    assert 0 <= error.item() < 1e-9
    assert error.dtype == torch.float32


def test_error_without_any_weight_is_zero_with_zero_gradients() -> None:
    left, right = (factor.requires_grad_() for factor in random_factors(7, active=0.5))
    none = torch.zeros(2, 1, 1, 1).double()
    error = squared_error(
        left, right, *random_factors(8, active=0.5), none.expand(2, 1, 11, 1),
        none.expand(2, 1, 7, 1),
    )  # fmt: skip
    error.backward()
    assert error.item() == 0
    for factor in (left, right):
        assert factor.grad is not None
        assert factor.grad.eq(0).all()
