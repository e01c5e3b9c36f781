"""What predicting files asks of a network, wherever it runs: PyTorch, ONNX, another machine.

`segloom.inference.Predictor` is the one of PyTorch. Importing this file does not import torch.

Axes: K classes, C channels, H W image size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segloom.images.pixels import PixelFormat
from segloom.images.read import read_image
from segloom.labels.space import LabelSpace
from segloom.types import LabelSet

__all__ = ["Predicts", "pixels_for", "read_for"]


def pixels_for(predictor: Predicts) -> PixelFormat | None:
    """Return what of stored values becomes black and white; None for RGB of 8 bits."""
    found = getattr(predictor, "pixel_format", None)
    return found if isinstance(found, PixelFormat) else None


def read_for(predictor: Predicts, path: Path | str) -> NDArray[np.uint8]:
    """Read an image file as the network was trained on such files: uint8 ``(H, W, C)``.

    Raises:
        DataError: It cannot be read.
    """
    pixels = pixels_for(predictor)
    return pixels.read(path) if pixels else read_image(path)


class Predicts(Protocol):
    """Answers for single images of any size."""

    @property
    def labels(self) -> LabelSet:
        """The classes, in the order of their ids."""

    @property
    def space(self) -> LabelSpace:
        """What the values of its label maps mean."""

    @property
    def num_channels(self) -> int:
        """Channels of an image, the edge map among them."""

    @property
    def takes_edges(self) -> bool:
        """Whether the last channel of an image is an edge map."""

    def label_map(self, image: NDArray[np.uint8]) -> NDArray[np.integer]:
        """Label every pixel.

        Args:
            image: uint8 ``(H, W, C)``, RGB for three channels.

        Returns:
            ``(H, W)``, of the dtype ``space.label_type``.

        Raises:
            DataError: The image has another form.
        """

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the probability of every class at every pixel: float32 ``(K, H, W)``.

        Raises:
            DataError: The image has another form.
        """
