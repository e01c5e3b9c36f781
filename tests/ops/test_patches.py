"""Patches are cut and put back as `torch.nn.Unfold` and `Fold` do, and keep the remainder."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from segloom.ops.patches import from_patches, num_patches, to_patches

SIDE = st.integers(1, 23)


@given(SIDE, SIDE, st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_padded_patches_put_back_give_the_map(height: int, width: int, patch: int) -> None:
    maps = torch.rand(2, 3, height, width)
    patches = to_patches(maps, patch)
    count = num_patches(height, patch) * num_patches(width, patch)
    assert patches.shape == (2, 3, count, patch * patch)
    assert torch.equal(from_patches(patches, (height, width), patch), maps)


@given(st.integers(5, 23), st.integers(5, 23), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_dropped_remainder_equals_unfold_and_fold(height: int, width: int, patch: int) -> None:
    maps = torch.rand(2, 3, height, width)
    patches = to_patches(maps, patch, "drop")
    unfolded = F.unfold(maps, patch, stride=patch).unflatten(1, (3, patch * patch))
    assert torch.equal(patches, unfolded.transpose(2, 3))
    folded = F.fold(unfolded.flatten(1, 2), (height, width), patch, stride=patch)
    assert torch.equal(from_patches(patches, (height, width), patch, "drop"), folded)


def test_remainder_is_filled_with_copies_of_the_last_row_and_column() -> None:
    maps = torch.arange(6.0).reshape(1, 1, 2, 3)
    expected = torch.tensor([[0.0, 1.0, 3.0, 4.0], [2.0, 2.0, 5.0, 5.0]])
    assert torch.equal(to_patches(maps, 2)[0, 0], expected)


def test_dropped_strip_comes_back_as_zeros() -> None:
    maps = torch.ones(1, 1, 5, 7)
    restored = from_patches(to_patches(maps, 3, "drop"), (5, 7), 3, "drop")
    assert restored[..., :3, :6].eq(1).all()
    assert restored[..., 3:, :].eq(0).all()
    assert restored[..., 6:].eq(0).all()


def test_map_smaller_than_a_patch_gives_one_padded_and_no_dropped_patch() -> None:
    maps = torch.tensor([[[[1.0, 2.0]]]])
    assert to_patches(maps, 2).tolist() == [[[[1.0, 2.0, 1.0, 2.0]]]]
    assert to_patches(maps, 2, "drop").shape == (1, 1, 0, 4)
    assert from_patches(to_patches(maps, 2, "drop"), (1, 2), 2, "drop").eq(0).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.bfloat16, torch.int64])
def test_any_dtype_and_memory_layout(dtype: torch.dtype) -> None:
    maps = (torch.rand(2, 3, 7, 9) * 2).to(dtype)
    other = maps.to(memory_format=torch.channels_last)
    assert to_patches(other, 4, "drop").dtype == dtype
    assert torch.equal(to_patches(other, 4, "drop"), to_patches(maps, 4, "drop"))


def test_gradient_of_the_last_row_counts_its_copies() -> None:
    maps = torch.zeros(1, 1, 3, 2, requires_grad=True)
    to_patches(maps, 2).sum().backward()
    assert maps.grad is not None
    assert maps.grad[0, 0].tolist() == [[1, 1], [1, 1], [2, 2]]


@pytest.mark.parametrize("remainder", ["pad", "drop"])
def test_export_keeps_the_size_dynamic(remainder: str) -> None:
    class RoundTrip(torch.nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            patches = to_patches(maps, 4, remainder)
            return from_patches(patches, maps.shape[-2:], 4, remainder)

    size = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        RoundTrip(), (torch.rand(2, 3, 9, 14),), dynamic_shapes=({0: size, 2: size, 3: size},)
    ).module()
    for shape in [(1, 3, 8, 12), (3, 3, 17, 9)]:
        maps = torch.rand(shape)
        assert torch.equal(program(maps), RoundTrip()(maps))
