"""Predicted label maps as files: those that our evaluations keep, and those of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.errors import DataError
from segloom.labels.bits import pack
from segloom.labels.stored import read_labels
from segloom.prediction.results import class_mask_files
from segloom.types import LabelSet

__all__ = ["read_prediction"]


def read_prediction(
    folder: Path, name: str, labels: LabelSet, shape: tuple[int, ...]
) -> NDArray[Any]:
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
    if not labels.is_multilabel:
        return _read(_find(folder, name), labels, shape).astype(np.uint8)
    masks = class_mask_files(folder, labels.classes, _flat(name)).values()
    return pack(np.stack([_read(path, labels, shape) > 0 for path in masks]))


def _flat(name: str) -> str:
    return name.replace("/", "_").replace("\\", "_")


def _find(folder: Path, name: str) -> Path:
    places = [folder / f"{part}.png" for part in (name, _flat(name), Path(name).name)]
    return next((path for path in places if path.is_file()), places[-1])


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
