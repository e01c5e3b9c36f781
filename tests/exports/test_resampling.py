"""Position tables are resampled by matrices as PyTorch resamples them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segloom.exports.resampling import MatrixResampling, resample_bicubic

TABLE = torch.randn(1, 6, 14, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(1, 1), (4, 3), (9, 23), (14, 16), (20, 15), (28, 40)])
def test_matrices_resample_as_pytorch_does(size: tuple[int, int]) -> None:
    expected = F.interpolate(TABLE, size=size, mode="bicubic", antialias=True)
    torch.testing.assert_close(resample_bicubic(TABLE, size), expected, rtol=1e-4, atol=1e-5)
    with MatrixResampling():
        found = F.interpolate(TABLE, size=size, mode="bicubic", antialias=True)
    assert torch.equal(found, resample_bicubic(TABLE, size))


@pytest.mark.parametrize("options", [{"mode": "bicubic"}, {"mode": "bilinear", "antialias": True}])
def test_other_resizing_stays(options: dict) -> None:
    expected = F.interpolate(TABLE, size=(5, 7), **options)
    with MatrixResampling():
        assert torch.equal(F.interpolate(TABLE, size=(5, 7), **options), expected)
