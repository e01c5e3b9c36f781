"""A trained network as a function: images of any kind in, `Segmentation` out."""

from __future__ import annotations

import os
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from segloom.images.arrays import is_tensor, pixels_of
from segloom.prediction.predicts import Predicts, pixels_for, read_for
from segloom.prediction.segmentation import Segmentation

__all__ = ["Segmenter"]


class Segmenter:
    """Answers images: paths, PIL images, arrays, tensors, or a batch of them.

    Args:
        predictor: The network, of PyTorch or exported.

    Examples:
        >>> model = segloom.load("runs/mine")  # doctest: +SKIP
        >>> model("photo.jpg").shares()  # doctest: +SKIP
        {'background': 0.81, 'leaf': 0.19}
    """

    def __init__(self, predictor: Predicts) -> None:
        self.predictor = predictor

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return self.predictor.labels.classes

    @overload
    def __call__(
        self, image: str | os.PathLike[str], *, probabilities: bool = True
    ) -> Segmentation: ...

    @overload
    def __call__(
        self, image: list[Any] | tuple[Any, ...], *, probabilities: bool = True
    ) -> list[Segmentation]: ...

    @overload
    def __call__(self, image: Any, *, probabilities: bool = True) -> Any: ...

    def __call__(self, image: Any, *, probabilities: bool = True) -> Any:
        """Label an image, or every image of a batch.

        Args:
            image: A path; a PIL image; an array ``(H, W)`` or ``(H, W, C)``, uint8, uint16 or
                floats from 0 to 1; a tensor ``(C, H, W)``. A list or tuple of these, an array
                ``(B, H, W, C)`` and a tensor ``(B, C, H, W)`` are batches.
            probabilities: Keep the probability of every class at every pixel, float32: 3 GB for
                an image of 8000 x 8000 pixels and 12 classes.

        Returns:
            A `Segmentation`, or of a batch a list of them in its order.

        Raises:
            DataError: A file cannot be read, or an image has another form.
        """
        if isinstance(image, str | os.PathLike):
            return self._answer(read_for(self.predictor, os.fspath(image)), probabilities)
        is_batch = isinstance(image, list | tuple) or (
            (is_tensor(image) or isinstance(image, np.ndarray)) and image.ndim == 4
        )
        if is_batch:
            return [self(one, probabilities=probabilities) for one in image]
        pixels = pixels_of(image, channels=self.predictor.num_channels)
        return self._answer(pixels, probabilities)

    def _answer(self, pixels: NDArray[np.uint8], probabilities: bool) -> Segmentation:
        labels, form = self.predictor.labels, pixels_for(self.predictor)
        shown = form.shown if form else ()
        if not probabilities:
            return Segmentation(pixels, self.predictor.label_map(pixels), labels, shown=shown)
        values = self.predictor.probabilities(pixels)
        return Segmentation(pixels, self.predictor.space.decide(values), labels, values, shown)

    def __repr__(self) -> str:
        return f"Segmenter({len(self.classes)} classes: {', '.join(self.classes)})"
