"""Sizes that are compared stay open in an export."""

from __future__ import annotations

import pytest
import torch

from segloom.ops.sizes import larger_size


@pytest.mark.parametrize(("size", "other", "larger"), [(3, 5, 5), (5, 3, 5), (4, 4, 4)])
def test_the_larger_of_two_numbers(size: int, other: int, larger: int) -> None:
    assert larger_size(size, other) == larger


def test_an_export_holds_on_both_sides_of_the_other_size() -> None:
    class Widened(torch.nn.Module):
        def forward(self, row: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.pad(row, (0, larger_size(row.shape[0], 8) - row.shape[0]))

    program = torch.export.export(
        Widened(), (torch.ones(5),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False
    ).module()
    for size in (3, 8, 13):
        assert program(torch.ones(size)).shape == (max(size, 8),)
