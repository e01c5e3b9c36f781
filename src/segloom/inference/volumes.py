"""Predicting a CT volume: its slices one by one, and a volume of labels that lies on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segloom.data.volumes import read_volume, window, write_labels
from segloom.errors import DataError, SegloomError
from segloom.inference.predictor import Predictor
from segloom.inference.results import PredictedFile, is_up_to_date, shares_of

__all__ = ["LABEL_ENDING", "predict_volume"]

LABEL_ENDING = "_label.nii.gz"


def predict_volume(
    predictor: Predictor,
    file: Path,
    target: Path,
    hu_window: tuple[float, float],
    skip_existing: bool,
) -> PredictedFile:
    """Predict a volume; one that cannot be read gives an entry with error.

    Args:
        predictor: Answers the slices.
        file: NIfTI.
        target: Where the class ids go, on the grid of the file.
        hu_window: Values that are black and white to the network.
        skip_existing: Leave a target as it is that is not older than the file.

    Raises:
        SegloomError: The result cannot be written; no other volume would fare better.
    """
    if predictor.labels.is_multilabel:
        return PredictedFile(
            file,
            error=f"{file} is a volume, whose labels are one class per voxel, but the network has "
            "classes that overlap (mode multilabel); predict its slices as images.",
        )
    written = {"label": target}
    if skip_existing and is_up_to_date([target], file):
        return PredictedFile(file, written=written, skipped=True)
    try:
        volume = read_volume(file)
        labels = np.empty(volume.voxels.shape, np.uint8)
        counts = np.zeros(predictor.num_classes, np.int64)
        for index in range(len(labels)):
            grey = window(volume.values(index), hu_window)  # (H, W)
            image = np.repeat(grey[..., None], predictor.num_channels, axis=2)
            labels[index] = predictor.label_map(image)
            counts += np.bincount(labels[index].ravel(), minlength=len(counts))
    except DataError as error:
        return PredictedFile(file, error=str(error))
    try:
        write_labels(target, labels, volume)
    except OSError as error:
        raise SegloomError(
            f"cannot write {target} ({error}); free space there or choose another folder."
        ) from error
    _, height, width = volume.voxels.shape
    return PredictedFile(
        file,
        size=(height, width),
        written=written,
        shares=shares_of(counts, predictor.labels),
    )
