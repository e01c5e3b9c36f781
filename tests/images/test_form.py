"""What is no image of a network is refused with what it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from segloom.errors import DataError
from segloom.images.form import checked_image


def test_an_image_passes_as_it_is() -> None:
    image = np.zeros((1, 2, 3), np.uint8)
    assert checked_image(image, 3) is image


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1"])
def test_a_pil_image_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (5, 4), (255, 255, 255)).convert(mode)
    pixels = checked_image(image, 3)
    assert pixels.shape == (4, 5, 3)
    assert (pixels == 255).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4)),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        [[1, 2]],
        "photo.png",
        None,
    ],
)
def test_what_is_no_image_is_refused(image: object) -> None:
    with pytest.raises(DataError, match=r"an image is a uint8 array \(height, width, channels\)"):
        checked_image(image, 3)


def test_other_channels_are_refused() -> None:
    with pytest.raises(DataError, match="the network takes 4 channels; this image has 3"):
        checked_image(np.zeros((4, 4, 3), np.uint8), 4)
    with pytest.raises(DataError, match="4 channels, the last of them an edge map; this"):
        checked_image(np.zeros((4, 4, 3), np.uint8), 4, takes_edges=True)
