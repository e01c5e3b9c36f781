"""What becomes of a predicted file, and the names of its results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.labels.pictures import write_label_png
from segloom.labels.space import space_of
from segloom.types import LabelSet

__all__ = [
    "ENDINGS",
    "PredictedFile",
    "class_mask_files",
    "is_up_to_date",
    "label_files",
    "shares_of",
    "write_labels",
]

ENDINGS = {
    "label": "_label.png",
    "palette": "_palette.png",
    "overlay": "_overlay.png",
    "errors": "_errors.png",
    "montage": "_montage.png",
    "probabilities": "_probabilities.npz",
}
"""What is written after the image's name, by the name of the option."""


@dataclass(frozen=True)
class PredictedFile:
    """What became of one image."""

    image: Path
    size: tuple[int, int] | None = None
    """Height and width in pixels; None if the image was not read."""
    written: dict[str, Path] = field(default_factory=dict)
    """Result files by kind (`ENDINGS`); ``mask.NAME`` is that of a class that may overlap."""
    shares: dict[str, float] = field(default_factory=dict)
    """Share of the pixels by class, 0 to 1, of the classes that are there; where classes overlap
    they may add up to more than 1."""
    accuracy: float | None = None
    """Share of the labelled pixels of the truth that are right, in every class where these may
    overlap; None without truth."""
    void: float | None = None
    """Share of the truth that is void; None without truth."""
    skipped: bool = False
    """True if every result was there already and none was made."""
    error: str | None = None
    """Why there is no result, in one sentence; None if all went well."""


def is_up_to_date(results: Iterable[Path], *sources: Path) -> bool:
    """Return whether results are there and not older than what they were made from."""
    try:
        made = max(path.stat().st_mtime for path in sources)
        return all(path.stat().st_mtime >= made for path in results)
    except OSError:
        return False


def shares_of(counts: NDArray[np.int64], total: int, labels: LabelSet) -> dict[str, float]:
    """Return the share, 0 to 1, of every class that has any of the pixels.

    Args:
        counts: Pixels of every class ``(K,)``.
        total: Pixels that are not void.
        labels: What the values stand for.
    """
    return {
        name: round(float(count) / total, 6)
        for name, count in zip(labels.classes, counts, strict=True)
        if count
    }


def class_mask_files(folder: Path, classes: Sequence[str], name: str) -> dict[str, Path]:
    """Name the mask of every class of an image, ``folder/CLASS/NAME.png``, by kind.

    A class whose name no folder can have is ``class_0``, ``class_1``, ... there.
    """
    folders = [
        label if label.strip(". ") and not {"/", "\\", "\0"} & set(label) else f"class_{index}"
        for index, label in enumerate(classes)
    ]
    return {
        f"mask.{label}": folder / inside / f"{name}.png"
        for label, inside in zip(classes, folders, strict=True)
    }


def label_files(folder: Path, labels: LabelSet, name: str, ending: str) -> dict[str, Path]:
    """Name the files of a label map by kind: one of class ids, or a mask per class.

    Args:
        folder: Where they lie.
        labels: The classes.
        name: Of the image.
        ending: Between that and ``.png`` in a file of class ids.
    """
    if space_of(labels).no_single:
        return class_mask_files(folder, labels.classes, name)
    return {"label": folder / f"{name}{ending}.png"}


def write_labels(files: Sequence[Path], values: NDArray[np.integer], labels: LabelSet) -> None:
    """Write a label map to `label_files`."""
    for path, pixels in zip(files, space_of(labels).pixels_of_files(values), strict=True):
        write_label_png(path, pixels)
