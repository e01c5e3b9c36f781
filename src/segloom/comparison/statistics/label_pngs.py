"""Predicted label maps as files: those that our evaluations keep, and those of other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.errors import DataError
from segloom.labels.space import space_of
from segloom.labels.stored import read_labels
from segloom.prediction.results import label_files
from segloom.types import LabelSet

__all__ = ["read_prediction"]


def read_prediction(
    folder: Path, name: str, labels: LabelSet, shape: tuple[int, ...]
) -> NDArray[np.integer]:
    """Read what was predicted for one image.

    Args:
        folder: One PNG of class ids per image, named like it: with the folders of its name, with
            ``_`` between them as our evaluations write, or without them. For classes that may
            overlap a folder of such PNGs per class, not 0 where the class is.
        name: Of the image.
        labels: The classes.
        shape: Height and width of the image.

    Returns:
        uint8 ``(H, W)``, class ids, or bits where classes may overlap.

    Raises:
        DataError: There is no such file, or it holds colours or has another size.
    """
    names = (name, _flat(name), Path(name).name)
    places = [[*label_files(folder, labels, known, "").values()] for known in names]
    paths = next((found for found in places if all(map(Path.is_file, found))), places[-1])
    return space_of(labels).join_files([_read(path, labels, shape) for path in paths])


def _flat(name: str) -> str:
    return name.replace("/", "_").replace("\\", "_")


def _read(path: Path, labels: LabelSet, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if not path.is_file():
        raise DataError(f"{path} is missing; give one PNG of class ids per image of the split.")
    pixels = read_labels(path).pixels
    if pixels.ndim == 3:
        raise DataError(f"{path} holds colours; write class ids, 0 to {len(labels.classes) - 1}.")
    if pixels.shape != shape:
        raise DataError(
            f"{path} has {pixels.shape} pixels, its image {shape}; write label maps at the size of "
            "the image as stored."
        )
    if pixels.min(initial=0) < 0 or pixels.max(initial=0) > 255:
        raise DataError(
            f"{path} holds {pixels.min()} to {pixels.max()}; write class ids of 8 bits."
        )
    return pixels.astype(np.uint8)
