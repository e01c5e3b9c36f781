"""Both ways to crop give the same part of a map."""

from __future__ import annotations

import pytest
import torch

from segloom.ops.crop import crop_by_padding, crop_by_slices


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (32, 40)])
def test_both_ways_to_crop_are_equal(size: tuple[int, int]) -> None:
    map_ = torch.arange(2.0 * 5 * 32 * 40).reshape(2, 5, 32, 40)
    expected = map_[:, :, : size[0], : size[1]]
    assert torch.equal(crop_by_padding(map_, *size), expected)
    assert torch.equal(crop_by_slices(map_, *size), expected)
