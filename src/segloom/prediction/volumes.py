"""Predicting a CT volume: its slices one by one, and a volume of labels that lies on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segloom.errors import DataError
from segloom.images.volumes import read_volume, window, write_label_volume
from segloom.prediction.predicts import Predicts
from segloom.prediction.results import PredictedFile, shares_of

__all__ = ["LABEL_ENDING", "predict_volume"]

LABEL_ENDING = "_label.nii.gz"


def predict_volume(
    predictor: Predicts, file: Path, target: Path, hu_window: tuple[float, float]
) -> PredictedFile:
    """Predict a volume; one that cannot be read gives an entry with error.

    Args:
        predictor: Answers the slices.
        file: NIfTI.
        target: Where the class ids go, on the grid of the file.
        hu_window: Values that are black and white to the network.

    Raises:
        OSError: The result cannot be written.
    """
    if problem := predictor.space.no_single:
        return PredictedFile(
            file,
            error=f"{file} is a volume, whose labels are one class per voxel, {problem}; predict "
            "its slices as images.",
        )
    try:
        volume = read_volume(file)
        labels = np.empty(volume.voxels.shape, np.uint8)
        counts = np.zeros(predictor.space.num_classes, np.int64)
        for index in range(len(labels)):
            grey = window(volume.values(index), hu_window)  # (H, W)
            image = np.repeat(grey[..., None], predictor.num_channels, axis=2)
            labels[index] = predictor.label_map(image)
            counts += np.bincount(labels[index].ravel(), minlength=len(counts))
    except DataError as error:
        return PredictedFile(file, error=str(error))
    write_label_volume(target, labels, volume)
    _, height, width = volume.voxels.shape
    return PredictedFile(
        file,
        size=(height, width),
        written={"label": target},
        shares=shares_of(counts, labels.size, predictor.labels),
    )
