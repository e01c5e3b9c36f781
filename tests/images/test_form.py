"""What is no image of a network is refused with what it takes."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.errors import DataError
from segloom.images.form import check_image


def test_an_image_passes() -> None:
    check_image(np.zeros((1, 2, 3), np.uint8), 3)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"an image is a uint8 array \(height, width, channels\)"):
        check_image(image, 3)


def test_other_channels_are_refused() -> None:
    with pytest.raises(DataError, match="the network takes 4 channels; this image has 3"):
        check_image(np.zeros((4, 4, 3), np.uint8), 4)
    with pytest.raises(DataError, match="4 channels, the last of them an edge map; this"):
        check_image(np.zeros((4, 4, 3), np.uint8), 4, takes_edges=True)
