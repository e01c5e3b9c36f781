"""What finished runs measured, ready to be compared: one `Measured` per run.

A run of ours brings the counts of every image (``counts.jsonl``); a folder of label PNGs, from any
program, is counted here against the truth of a data set. What is drawn again (images, groups, or
blocks inside groups) is chosen for all runs on the same images together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.label_pngs import read_prediction
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.config.load import read_config
from segloom.data.readers import find_data_set, read_source
from segloom.errors import DataError, SegloomError
from segloom.evaluation.groups import group_scores, image_influence
from segloom.evaluation.image_counts import ImageCounts, count_image
from segloom.evaluation.journal import read_counts
from segloom.evaluation.summary import counted_scores
from segloom.files import parse_json
from segloom.metrics import Resampling, bootstrap_values, plan_resampling
from segloom.metrics.by_space import measures_of
from segloom.run_directory import RunDirectory

if TYPE_CHECKING:
    from segloom.data import SegmentationDataset

__all__ = ["Counted", "Measured", "count_predictions", "read_counted", "resample"]

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
    """``(R, V)`` on resamples of the images; their variance is that of the choice of the images."""
    resampling: Resampling
    """What was drawn."""
    image_influence: NDArray[np.float64]
    """``(N,)`` mIoU of all images less mIoU without this one."""
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
    group_miou: dict[str, float | None] = field(default_factory=dict)
    """mIoU of every group of images by itself: film, patient, city."""


@dataclass(frozen=True)
class Counted:
    """A run's counts, before anything is drawn again."""

    images: tuple[ImageCounts, ...]
    classes: tuple[str, ...]
    config: EvalConfig
    """What was counted."""
    group: Group
    variant: str
    seed: int
    rest: dict[str, Any]
    """Other fields of `Measured`."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the images."""
        return tuple(image.id for image in self.images)

    @cached_property
    def influence(self) -> NDArray[np.float64]:
        """What each image does to mIoU, ``(N,)``."""
        return image_influence(self.images)


def read_counted(
    run: Path,
    group: Group,
    variant: str,
    seed: int,
    *,
    facts: dict[str, Any],
    split: str = "test",
    data: DataConfig | None = None,
) -> Counted:
    """Read a run that `segloom eval` has measured.

    Args:
        run: Its folder; of it metrics.json and counts.jsonl of the split are needed.
        group: Where it stands in the comparison.
        variant: What it is.
        seed: Its seed.
        facts: What else is known of it.
        split: Where it was measured.
        data: Where its images lie now; None takes what its config.yaml says.

    Raises:
        DataError: It was not measured on the split, or before counts were kept.
    """
    folder = run / "eval" / split
    try:
        metrics = parse_json((folder / "metrics.json").read_text(encoding="utf-8"))
        classes = tuple(metrics["classes"])
        config = EvalConfig(
            size_limits=tuple((metrics["size"] or {"limits": ()})["limits"]),
            boundary_tolerances=tuple(
                row["tolerance"]
                for row in (metrics["boundary"] or {"tolerances": ()})["tolerances"]
            ),
            measures={name: part["options"] for name, part in metrics.get("measures", {}).items()},
        )
        known = {
            "policy": metrics["policy"],
            "inference": metrics["inference"],
            "parameters": metrics["model"]["num_parameters"],
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{run} was not measured on the {split} split; run `segloom eval {run} "
            f"--split {split}` first."
        ) from error
    images = read_counts(folder / "counts.jsonl", len(classes), config)
    predictions = folder / "predictions"
    data = data or _data(run)
    if data is not None:
        images = _placed(images, data, split)
    trained = metrics.get("trained_groups") or {}
    return Counted(
        tuple(images),
        classes,
        config,
        group,
        variant,
        seed,
        {
            "name": run.name,
            "path": run,
            "predictions": predictions if predictions.is_dir() else None,
            "data": data,
            "split": split,
            "facts": known | {"trained_groups": trained.get("words")} | facts,
        },
    )


def count_predictions(
    folder: Path, data: DataConfig, config: EvalConfig, group: Group, variant: str, seed: int
) -> Counted:
    """Count label PNGs of any program against the truth; see `read_prediction` for their names.

    Raises:
        DataError: A label map is missing, unreadable, of another size or of other classes.
    """
    from segloom.data import build_dataset

    dataset = build_dataset(data, config.split)
    images = [_count(folder, dataset, index, config) for index in range(len(dataset))]
    return Counted(
        tuple(images),
        tuple(dataset.classes),
        config,
        group,
        variant,
        seed,
        {
            "name": folder.name,
            "path": folder,
            "predictions": folder,
            "data": data,
            "split": config.split,
            "facts": {"policy": measures_of(dataset.labels.is_multilabel).policy},
        },
    )


def _placed(images: list[ImageCounts], data: DataConfig, split: str) -> list[ImageCounts]:
    """Give images the groups that counts of earlier versions do not name."""
    if any(image.place.group for image in images):
        return images
    try:
        records = read_source(data, split).records
        places = {record.id: record.place for record in records}
    except SegloomError:  # the data has moved: what the names alone tell
        by_name = find_data_set(data.name).place
        places = {image.id: by_name(image.id) for image in images} if by_name else {}
    return [replace(image, place=places.get(image.id, image.place)) for image in images]


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
        counts = count_image(
            name,
            prediction,
            truth,
            len(labels.classes),
            config,
            is_multilabel=labels.is_multilabel,
        )
    except DataError as error:
        raise DataError(f"{folder}, image {name}: {error}") from error
    return replace(counts, place=dataset.records[index].place)


def resample(counted: Sequence[Counted], *, baseline: str) -> list[Measured]:
    """Score runs, and score them again on resamples of their images.

    Args:
        counted: The runs.
        baseline: Kind that the others are compared with: the length of blocks suits the
            differences from it.
    """
    plans: dict[tuple[str, ...], Resampling] = {}
    for run in counted:
        if run.ids not in plans:
            same = [other for other in counted if other.ids == run.ids]
            plans[run.ids] = _plan(same, baseline)
    return [_measured(run, plans[run.ids]) for run in counted]


def _plan(runs: Sequence[Counted], baseline: str) -> Resampling:
    """Choose what is drawn again for runs on the same images."""
    places = [image.place for image in runs[0].images]
    if not any(place.group for place in places):
        return Resampling.of_images(len(places))
    influence = {(run.group, run.variant, run.seed): run.influence for run in runs}
    differences = [
        own - influence[group, baseline, seed]
        for (group, variant, seed), own in influence.items()
        if variant != baseline and (group, baseline, seed) in influence
    ]
    return plan_resampling(places, np.stack(differences or list(influence.values())))


def _image_miou(images: Sequence[ImageCounts]) -> NDArray[np.float64]:
    """Score every image by itself, ``(N,)``."""
    measures = images[0].measures
    counts = measures.compact(np.stack([image.confusion for image in images]))
    found: NDArray[np.float64] = measures.compact_scores(counts).mIoU
    return found


def _measured(run: Counted, resampling: Resampling) -> Measured:
    names: list[str] = []
    scores, resampled = [], []
    for score_names, counts, statistic, _ in counted_scores(run.images, run.classes, run.config):
        names += score_names
        scores.append(statistic(counts.sum(0, keepdims=True))[0])
        resampled.append(
            bootstrap_values(counts, statistic, resamples=RESAMPLES, resampling=resampling)
        )
    drawn = np.concatenate(resampled, axis=1)
    centre = drawn.mean(0)
    return Measured(
        group=run.group,
        variant=run.variant,
        seed=run.seed,
        classes=run.classes,
        ids=run.ids,
        score_names=tuple(names),
        scores=np.concatenate(scores),
        resampled=centre + np.sqrt(resampling.inflation) * (drawn - centre),
        resampling=resampling,
        image_influence=run.influence,
        image_miou=_image_miou(run.images),
        group_miou={row["name"]: row["mIoU"] for row in group_scores(run.images)},
        **run.rest,
    )
