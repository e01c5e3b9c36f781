"""Resizing gives PyTorch's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segloom.inference.tta import average_views as average_with_torch
from segloom.runtime.views import average_views, resize_scores, scale_image

SIZES = [(1, 1), (3, 300), (37, 53), (64, 96)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.05, 0.1, 0.5, 0.75, 1.0, 1.25, 1.5, 2, 3.3])
def test_images_are_scaled_as_by_torch(size: tuple[int, int], scale: float) -> None:
    image = picture(*size)
    new = [max(1, round(side * scale)) for side in size]
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = F.interpolate(tensor, new, mode="bilinear", align_corners=False, antialias=True)
    difference = scale_image(image, scale) - expected[0].permute(1, 2, 0).numpy()
    assert np.abs(difference).max() <= 0.5 + 1e-4
    assert scale_image(image, scale).dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("new", [(1, 1), (20, 31), (64, 96), (131, 77)])
def test_scores_are_resized_as_by_torch(size: tuple[int, int], new: tuple[int, int]) -> None:
    scores = np.random.default_rng(1).normal(size=(5, *size)).astype(np.float32)
    expected = F.interpolate(
        torch.from_numpy(scores)[None], new, mode="bilinear", align_corners=False
    )[0]
    np.testing.assert_allclose(resize_scores(scores, new), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0), (0.75, 2.0)])
def test_averages_are_those_of_torch(scales: tuple[float, ...], flip: bool) -> None:
    ramp = torch.linspace(-1, 1, 4).view(1, 4, 1, 1)

    def with_torch(image: torch.Tensor) -> torch.Tensor:
        return image.float().mean(1, keepdim=True) / 50 * ramp + image[:, :1].float() / 99

    def with_numpy(image: np.ndarray) -> np.ndarray:
        return with_torch(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[0].numpy()

    image = picture(37, 53)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = average_with_torch(tensor, with_torch, scales=scales, flip=flip)
    found = average_views(image, with_numpy, scales=scales, flip=flip, activate=None)
    np.testing.assert_allclose(found, expected[0].numpy(), atol=2e-3)
    assert (np.abs(found - expected[0].numpy()) > 1e-4).mean() < 1e-3
