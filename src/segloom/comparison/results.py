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

from segloom.comparison.label_pngs import read_prediction
from segloom.comparison.plan import Group
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.config.load import read_config
from segloom.errors import DataError
from segloom.evaluation.image_counts import ImageCounts, count_image
from segloom.evaluation.journal import read_counts
from segloom.evaluation.summary import counted_scores, image_scores
from segloom.metrics import MULTILABEL_POLICY, POLICY, bootstrap_values
from segloom.run_directory import RunDirectory

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
    image_miou: NDArray[np.float64]
    """``(N,)`` mIoU of every image by itself; NaN where nothing is counted."""
    path: Path
    """Run directory or folder of label PNGs."""
    predictions: Path | None = None
    """Folder of the predicted label maps, if they were kept."""
    data: DataConfig | None = None
    """Where the images and their truth are, if that is known."""
    split: str = "test"
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
        data=_data(run),
        split=split,
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
    """Count label PNGs of any program against the truth; see `read_prediction` for their names.

    Raises:
        DataError: A label map is missing, unreadable, of another size or of other classes.
    """
    from segloom.data import build_dataset

    dataset = build_dataset(data, config.split)
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
        data=data,
        split=config.split,
        facts={"policy": MULTILABEL_POLICY if dataset.labels.is_multilabel else POLICY},
    )


def _data(run: Path) -> DataConfig | None:
    """Read where a run found its images."""
    path = RunDirectory(run).config
    return read_config(path).data if path.is_file() else None


def _count(
    folder: Path, dataset: SegmentationDataset, index: int, config: EvalConfig
) -> ImageCounts:
    sample = dataset[index]
    name, truth = sample["meta"]["id"], sample["mask"].numpy()
    labels = dataset.labels
    prediction = read_prediction(folder, name, labels, truth.shape)
    try:
        return count_image(
            name,
            prediction,
            truth,
            len(labels.classes),
            config,
            is_multilabel=labels.is_multilabel,
        )
    except DataError as error:
        raise DataError(f"{folder}, image {name}: {error}") from error


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
        image_miou=np.array([image_scores(image).mIoU for image in images]),
        **rest,
    )
