"""Pictures of the best and the worst images of an evaluation."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.evaluation.image_counts import ImageCounts
from segloom.evaluation.summary import image_scores
from segloom.labels.painting import comparison
from segloom.labels.pictures import write_image
from segloom.types import LabelSet

__all__ = ["choose_extremes", "draw_montages", "publish_montages"]

FOLDER, UNFINISHED = "montage", ".montage"

Look = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.integer]]]
"""Index of a sample to its image ``(H, W, 3)``, truth and prediction ``(H, W)``, uint8."""


def choose_extremes(
    images: Sequence[ImageCounts], number: int
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Choose the best and the worst images by their own mIoU; none is in both lists.

    Returns:
        Index and mIoU, the best from the top, the worst from the bottom. Images without any
        counted pixel are in neither.
    """
    ranked = [(index, float(image_scores(image).mIoU)) for index, image in enumerate(images)]
    ranked = [(index, value) for index, value in ranked if not np.isnan(value)]
    ranked.sort(key=lambda pair: (-pair[1], pair[0]))
    best = min(number, (len(ranked) + 1) // 2)
    worst = min(number, len(ranked) - best)
    return ranked[:best], ranked[: len(ranked) - worst - 1 : -1] if worst else []


def draw_montages(
    folder: Path, images: Sequence[ImageCounts], labels: LabelSet, number: int, look: Look
) -> dict[str, list[dict[str, object]]]:
    """Draw image, truth, prediction and error side by side.

    The files wait in a folder of their own until `publish_montages`, so that those of an earlier
    evaluation stay until the present one is complete.

    Returns:
        The part ``montages`` of metrics.json: for best and worst, id, file and mIoU.
    """
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    drawn: dict[str, list[dict[str, object]]] = {}
    for kind, chosen in zip(("best", "worst"), choose_extremes(images, number), strict=True):
        drawn[kind] = []
        for rank, (index, value) in enumerate(chosen, start=1):
            image, truth, prediction = look(index)
            file = f"{kind}_{rank:02}.png"
            picture = comparison(image, truth, prediction, labels)
            write_image(folder / UNFINISHED / file, picture)
            drawn[kind].append({"id": images[index].id, "file": f"{FOLDER}/{file}", "mIoU": value})
    return drawn


def publish_montages(folder: Path) -> None:
    """Put what `draw_montages` drew in the place of the montages of an earlier evaluation."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    if (folder / UNFINISHED).is_dir():
        (folder / UNFINISHED).rename(folder / FOLDER)
