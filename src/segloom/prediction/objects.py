"""A table of what was found: per image and class its area, its objects and how sure it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["COLUMNS", "class_masks", "may_be_replaced", "object_rows"]

COLUMNS = ("image", "class", "pixels", "share", "objects", "mean_size", "mean_confidence")
"""``mean_size`` is in pixels per object, ``mean_confidence`` the mean probability of the class over
its pixels, empty where no probabilities were written."""


def class_masks(
    written: Mapping[str, Path], classes: tuple[str, ...]
) -> dict[str, NDArray[np.bool_]]:
    """Read the masks, bool ``(H, W)`` by class, of a predicted image from its label files.

    Args:
        written: Files by their kind, as in `segloom.prediction.results.PredictedFile`.
        classes: Names in the order of their ids.
    """

    def pixels(path: Path) -> NDArray[np.uint8]:
        with Image.open(path) as image:
            return np.asarray(image)

    if "label" in written:
        labels = pixels(written["label"])
        return {name: labels == class_id for class_id, name in enumerate(classes)}
    return {name: pixels(written[f"mask.{name}"]) > 0 for name in classes}


def may_be_replaced(path: Path) -> bool:
    """Return whether nothing is at a path, or a table of this form."""
    if not os.path.lexists(path):
        return True
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return path.is_file() and file.readline().strip() == ",".join(COLUMNS)
    except OSError:
        return False


def object_rows(
    image: Path, masks: Mapping[str, NDArray[np.bool_]], probabilities: Path | None = None
) -> list[dict[str, object]]:
    """Describe every class that an image shows; objects are pixels that touch along an edge.

    Args:
        image: File of the image.
        masks: Class to its pixels, bool ``(H, W)``.
        probabilities: The ``.npz`` that `predict_files` writes.
    """
    import cv2

    values = None if probabilities is None else np.load(probabilities)["probabilities"]
    rows: list[dict[str, object]] = []
    for class_id, (name, mask) in enumerate(masks.items()):
        number = int(mask.sum())
        if not number:
            continue
        objects = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
        sure = None if values is None else round(float(values[class_id][mask].mean(dtype=float)), 4)
        row = (str(image), name, number, round(number / mask.size, 6), objects)
        rows.append(dict(zip(COLUMNS, (*row, round(number / objects, 1), sure), strict=True)))
    return rows
