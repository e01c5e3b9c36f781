"""What finished runs measured, ready to be compared: one `Measured` per run.

A run of ours brings the counts of every image (``counts.jsonl``); a folder of label PNGs, from any
program, is counted here against the truth of a data set.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segloom.comparison.plan import Group
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.errors import ConfigError, DataError
from segloom.evaluation.image_counts import ImageCounts, count_image
from segloom.evaluation.journal import read_counts
from segloom.evaluation.summary import counted_scores
from segloom.metrics import bootstrap_values

if TYPE_CHECKING:
    from segloom.data import SegmentationDataset

__all__ = ["Measured", "count_predictions", "read_measured"]

RESAMPLES = 1000
"""Resamples of the images of a comparison: their variance is known to some 5 %."""


@dataclass(frozen=True)
class Measured:
    """One run's scores, and how they vary with the choice of the images."""

    name: str
    group: Group
    variant: str
    seed: int
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    """Names of the images, in the order of the counts."""
    score_names: tuple[str, ...]
    """V names, such as mIoU, IoU.road, IoU.size < 256 px, bIoU@0.02."""
    scores: NDArray[np.float64]
    """``(V,)`` on the whole split, 0 to 1; NaN where a score does not exist."""
    resampled: NDArray[np.float64]
    """``(R, V)`` on resamples of the images."""
    path: Path
    """Run directory or folder of label PNGs."""
    predictions: Path | None = None
    """Folder of the predicted label maps, if they were kept."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Cost and conditions, where they are known."""


def read_measured(
    run: Path, group: Group, variant: str, seed: int, *, facts: dict[str, Any], split: str = "test"
) -> Measured:
    """Read a run that `segloom eval` has measured.

    Raises:
        DataError: It was not measured on the split, or before counts were kept.
    """
    folder = run / "eval" / split
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{run} was not measured on the {split} split; run `segloom eval {run} "
            f"--split {split}` first."
        ) from error
    classes = tuple(metrics["classes"])
    config = EvalConfig(
        size_limits=tuple((metrics["size"] or {"limits": ()})["limits"]),
        boundary_tolerances=tuple(
            row["tolerance"] for row in (metrics["boundary"] or {"tolerances": ()})["tolerances"]
        ),
    )
    images = read_counts(folder / "counts.jsonl", len(classes), config)
    predictions = folder / "predictions"
    return _measured(
        images,
        classes,
        config,
        name=run.name,
        group=group,
        variant=variant,
        seed=seed,
        path=run,
        predictions=predictions if predictions.is_dir() else None,
        facts={
            "policy": metrics["policy"],
            "inference": metrics["inference"],
            "parameters": metrics["model"]["num_parameters"],
            **facts,
        },
    )


def count_predictions(
    folder: Path, data: DataConfig, config: EvalConfig, group: Group, variant: str, seed: int
) -> Measured:
    """Count label PNGs of any program, one per image and named like it, against the truth.

    Raises:
        DataError: A label map is missing, unreadable, of another size or of other classes.
    """
    from segloom.data import build_dataset

    dataset = build_dataset(data, config.split)
    if dataset.labels.is_multilabel:
        raise ConfigError(
            f"the classes of {data.name} may overlap, which one label PNG per image cannot say; "
            "compare runs of segloom instead."
        )
    images = [_count(folder, dataset, index, config) for index in range(len(dataset))]
    return _measured(
        images,
        tuple(dataset.classes),
        config,
        name=folder.name,
        group=group,
        variant=variant,
        seed=seed,
        path=folder,
        predictions=folder,
        facts={},
    )


def _count(
    folder: Path, dataset: SegmentationDataset, index: int, config: EvalConfig
) -> ImageCounts:
    from segloom.data.label_files import read_labels

    sample = dataset[index]
    name, truth = sample["meta"]["id"], sample["mask"].numpy()
    path = folder / f"{Path(name).name}.png"
    if not path.is_file():
        raise DataError(f"{path} is missing; give one PNG of class ids per image of the split.")
    prediction = read_labels(path).pixels
    if prediction.ndim == 3:
        raise DataError(f"{path} holds colours; write class ids, 0 to {len(dataset.classes) - 1}.")
    if prediction.shape != truth.shape:
        raise DataError(
            f"{path} has {prediction.shape} pixels, its image {truth.shape}; write label maps at "
            "the size of the image as stored."
        )
    try:
        return count_image(name, prediction.astype(np.uint8), truth, len(dataset.classes), config)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _measured(
    images: Sequence[ImageCounts], classes: tuple[str, ...], config: EvalConfig, **rest: Any
) -> Measured:
    names: list[str] = []
    scores, resampled = [], []
    for score_names, counts, statistic in counted_scores(images, classes, config):
        names += score_names
        scores.append(statistic(counts.sum(0, keepdims=True))[0])
        resampled.append(bootstrap_values(counts, statistic, resamples=RESAMPLES))
    return Measured(
        classes=classes,
        ids=tuple(image.id for image in images),
        score_names=tuple(names),
        scores=np.concatenate(scores),
        resampled=np.concatenate(resampled, axis=1),
        **rest,
    )
