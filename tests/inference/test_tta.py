"""Views are averaged as probabilities or as logits, at the size of the image."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segloom.inference.tta import average_views

average = partial(average_views, activate=partial(torch.softmax, dim=1))


def logits(image: Tensor) -> Tensor:
    """Depends on place and colour, so that mirroring and zooming matter."""
    ramp = torch.linspace(0, 2, image.shape[-1]).expand(image.shape[0], 1, *image.shape[-2:])
    return torch.cat([image.float() / 128, ramp], dim=1)


def pixels() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 20, 31), dtype=torch.uint8, generator=generator)


def test_one_view_is_the_softmax() -> None:
    torch.testing.assert_close(average(pixels(), logits), logits(pixels()).softmax(1))


def test_flip_averages_with_the_mirror_image() -> None:
    image = pixels()
    mirrored = logits(image.flip(-1)).flip(-1).softmax(1)
    expected = (logits(image).softmax(1) + mirrored) / 2
    torch.testing.assert_close(average(image, logits, flip=True), expected)


def test_flipped_average_of_a_mirror_image_is_mirrored() -> None:
    there = average(pixels(), logits, flip=True)
    back = average(pixels().flip(-1), logits, flip=True).flip(-1)
    torch.testing.assert_close(there, back)


def test_scales_are_brought_back_to_the_size_of_the_image() -> None:
    seen = []

    def note(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape[-2:]))
        assert image.dtype == torch.uint8
        return logits(image)

    result = average(pixels(), note, scales=(0.5, 1.0, 1.5))
    assert seen == [(10, 16), (20, 31), (30, 46)]
    assert result.shape == (2, 4, 20, 31)
    torch.testing.assert_close(result.sum(1), torch.ones(2, 20, 31))


def test_scores_are_zoomed_before_the_softmax() -> None:
    image = pixels()
    small = F.interpolate(image.float(), (10, 16), mode="bilinear", antialias=True).round()
    scores = F.interpolate(logits(small), (20, 31), mode="bilinear")
    expected = scores.softmax(1)
    torch.testing.assert_close(average(image, logits, scales=(0.5,)), expected)


@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_one_pixel_survives_any_zoom(scale: float) -> None:
    image = torch.full((1, 3, 1, 1), 200, dtype=torch.uint8)
    result = average(image, logits, scales=(scale,), flip=True)
    assert result.shape == (1, 4, 1, 1)
    torch.testing.assert_close(result.sum(1), torch.ones(1, 1, 1))


def test_logits_are_averaged_if_nothing_activates_them() -> None:
    image = pixels()
    expected = (logits(image) + logits(image.flip(-1)).flip(-1)) / 2
    torch.testing.assert_close(average_views(image, logits, flip=True), expected)
