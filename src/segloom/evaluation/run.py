"""Measure a trained network on a split and write down what was found.

    read sample -> label map -> counts -> journal    per image, one at a time
    sum -> scores, intervals, tables, montages       at the end

The label map has the size of the image as stored, and so do all counts. Only counts are kept of an
image that is done, so memory does not grow with the number of images beyond a few kilobytes each.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.config.load import read_config
from segloom.config.run import RunConfig
from segloom.errors import ConfigError, DataError
from segloom.evaluation.image_counts import ImageCounts, count_image
from segloom.evaluation.journal import Journal, fingerprint
from segloom.evaluation.montages import draw_montages, publish_montages
from segloom.evaluation.summary import summarize, write_tables
from segloom.files import write_json
from segloom.ops.binary import num_labels
from segloom.pictures import write_label_png
from segloom.run_directory import RunDirectory
from segloom.types import LabelSet

if TYPE_CHECKING:
    from segloom.data import SegmentationDataset
    from segloom.inference import Predictor
    from segloom.models.checkpoint import SavedModel
    from segloom.models.model import SegmentationModel

__all__ = ["Evaluation", "Progress", "evaluate"]

JOURNAL = ".unfinished.jsonl"
COUNTS = "counts.jsonl"
"""The same file once every image is in it."""


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is, after each image."""

    done: int
    total: int
    measured: int
    """Images of this call, without those that an interrupted one had done."""
    seconds: float
    """Since the first image of this call."""

    @property
    def remaining_seconds(self) -> float | None:
        """Expected time to the last image; None before the first."""
        if not self.measured:
            return None
        return (self.total - self.done) * self.seconds / self.measured


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`."""

    folder: Path
    """Where metrics.json, the tables and the montages are."""
    metrics: dict[str, Any]
    """The content of metrics.json."""

    @property
    def scores(self) -> dict[str, float | None]:
        """Scores of the whole split by name, 0 to 1: mIoU, aAcc, mAcc, mDice, fwIoU."""
        found: dict[str, float | None] = self.metrics["scores"]
        return found

    def interval(self, name: str) -> tuple[float, float] | None:
        """95 % interval of a score, for example ``mIoU`` or ``IoU.road``; None if there is none."""
        ends = self.metrics["intervals"].get(name)
        return None if ends is None else (ends[0], ends[1])


def evaluate(
    run: Path,
    config: EvalConfig,
    data: DataConfig | None = None,
    out: Path | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Measure a run, or a model directory, on a split.

    An interrupted evaluation goes on where it stopped when it is called again with the same
    options, weights and files; until it is complete, an earlier result stays as it was.

    Args:
        run: A run directory (its best checkpoint is taken) or a model directory.
        config: What is measured, and how an image is seen.
        data: The images; None takes the data of the run's config.yaml.
        out: Folder of the results; None is ``<run>/eval/<split>``.
        on_progress: Called before the first image and after each.

    Raises:
        CheckpointError: There is no network at ``run``, or it cannot be loaded.
        ConfigError: There is no data, or the data has other classes than the network.
        DataError: A file of the split cannot be used, or no label map of it holds a pixel of a
            class; the sentence names it.
    """
    from segloom.data import build_dataset
    from segloom.inference import Predictor
    from segloom.models.checkpoint import from_pretrained, read_saved

    saved = read_saved(run)
    run_config = _run_config(run)
    data = data or (run_config.data if run_config else None)
    if data is None:
        raise ConfigError(
            f"{run} does not say on which data it was trained (no config.yaml); name the data, "
            "for example --data.name camvid --data.root DIR."
        )
    dataset = build_dataset(data, config.split)
    _check_classes(run, dataset.labels, saved, data.name)
    dataset.require_labels(config.split)
    folder = out or RunDirectory(run).evaluation(config.split)
    model = from_pretrained(run)
    if model.edge_channels:
        dataset.require_edges()
    key = _fingerprint(config, data, saved, dataset)
    journal = Journal(folder / JOURNAL, key, len(dataset.labels.classes), config)
    predictor = Predictor(model, dataset.labels, config.inference)
    _measure(dataset, predictor, journal, folder, config, on_progress)
    images = [journal.done[index] for index in range(len(dataset))]
    cases = [record.case for record in dataset.records]
    metrics = summarize(images, dataset.labels, config, regions=dataset.regions, cases=cases)
    metrics["model"] = _describe_model(model, run_config)
    _write(folder, journal, images, metrics, dataset, predictor, config)
    return Evaluation(folder, metrics)


_DATA_FIELDS = frozenset(
    {"name", "root", "label_map", "mask_format", "ignore_values", "classes", "palette"}
    | {"hu_window"}
)
"""Options that change what a file means; which files are read is in the fingerprint anyway."""


def _run_config(run: Path) -> RunConfig | None:
    path = RunDirectory(run).config
    return read_config(path) if path.is_file() else None


def _check_classes(run: Path, data: LabelSet, saved: SavedModel, reader: str) -> None:
    model, mode = saved.labels, saved.spec["mode"]
    if data.is_multilabel != (mode == "multilabel"):
        found, wanted = (
            ("overlap", "one class per pixel")
            if data.is_multilabel
            else ("exclude each other", "classes that may overlap")
        )
        raise ConfigError(
            f"{run} was trained for {wanted}, but the data's classes {found}; set "
            "data.mask_format as in its training."
        )
    num_classes = num_labels(saved.spec["classes"], mode)
    if model is not None and model.classes != data.classes:
        mend = (
            "name data with these classes, or say with data.label_map which stored value is which "
            "of them beside data.classes (data.classes alone only renames)."
        )
        if reader == "coco":
            mend = (
                "name data with these classes, or map its class ids to them with data.label_map "
                "beside data.classes."
            )
            if sorted(model.classes) == sorted(data.classes):
                mend = f"put them in order with --data.classes {shlex.join(model.classes)}."
        raise ConfigError(
            f"{run} was trained on the classes {', '.join(model.classes)}, but the data has "
            f"{', '.join(data.classes)}; {mend}"
        )
    if num_classes != len(data.classes):
        raise ConfigError(
            f"{run} has {num_classes} classes, but the data has {len(data.classes)}; name other "
            "data, or another network."
        )


def _fingerprint(
    config: EvalConfig, data: DataConfig, saved: SavedModel, dataset: SegmentationDataset
) -> str:
    """Hash all that the counts of the images depend on."""
    samples = [_describe(record.id, *record.files) for record in dataset.records]
    values = {
        "counted": config.model_dump(mode="json", exclude={"bootstrap", "montages"}),
        "data": data.model_dump(mode="json", include=set(_DATA_FIELDS)),
        "model": [saved.spec, list(saved.normalization)],
        "samples": samples,
    }
    return fingerprint(values, {"weights": saved.weights})


def _describe(name: str, *files: Path) -> list[Any]:
    """Identify a sample by the paths, sizes and times of its files."""
    parts: list[Any] = [name]
    for file in files:
        try:
            status = file.stat()
        except OSError:
            status = None  # reading it will say what is wrong
        parts += [str(file), status and status.st_size, status and status.st_mtime_ns]
    return parts


def _measure(
    dataset: SegmentationDataset,
    predictor: Predictor,
    journal: Journal,
    folder: Path,
    config: EvalConfig,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """Fill the journal."""
    total, measured, start = len(dataset), 0, time.monotonic()
    if on_progress:
        on_progress(Progress(len(journal.done), total, 0, 0.0))
    for index in range(total):
        if index in journal.done:
            continue
        name, _, truth, prediction = _look(dataset, predictor, index)
        try:
            counts = count_image(
                name,
                prediction,
                truth,
                len(dataset.classes),
                config,
                is_multilabel=dataset.labels.is_multilabel,
            )
        except DataError as error:
            record = dataset.records[index]
            raise DataError(f"{record.mask or record.image}: {error}") from error
        if config.predictions:
            _keep(folder / "predictions", _file_name(name), prediction, dataset.labels)
        journal.append(index, counts)
        measured += 1
        if on_progress:
            seconds = time.monotonic() - start
            on_progress(Progress(len(journal.done), total, measured, seconds))


def _keep(folder: Path, name: str, prediction: NDArray[np.uint8], labels: LabelSet) -> None:
    """Write a predicted label map: class ids, or a mask per class where they may overlap."""
    from segloom.inference.results import class_mask_files, write_class_masks

    if labels.is_multilabel:
        write_class_masks(class_mask_files(folder, labels.classes, name).values(), prediction)
    else:
        write_label_png(folder / f"{name}.png", prediction)


def _file_name(name: str) -> str:
    """Keep the name of a sample from leaving its folder."""
    return name.replace("/", "_").replace("\\", "_")


def _look(
    dataset: SegmentationDataset, predictor: Predictor, index: int
) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return name, image ``(H, W, 3)``, truth and prediction ``(H, W)`` of a sample."""
    sample = dataset[index]
    seen = predictor.pixels(sample)
    truth: NDArray[np.uint8] = sample["mask"].numpy()
    return (
        sample["meta"]["id"],
        seen[..., : sample["image"].shape[0]],
        truth,
        predictor.label_map(seen),
    )


def _describe_model(model: SegmentationModel, run_config: RunConfig | None) -> dict[str, Any]:
    names = [name for part in model.spec["enhancements"] for name in part]
    return {
        "architecture": model.spec["architecture"],
        "encoder_name": model.spec["encoder_name"],
        "enhancements": list(run_config.model.enhancements) if run_config else names,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def _write(
    folder: Path,
    journal: Journal,
    images: list[ImageCounts],
    metrics: dict[str, Any],
    dataset: SegmentationDataset,
    predictor: Predictor,
    config: EvalConfig,
) -> None:
    """Write pictures and tables, and metrics.json last: it is what makes a result complete."""
    metrics["montages"] = draw_montages(
        folder,
        images,
        dataset.labels,
        config.montages,
        lambda index: _look(dataset, predictor, index)[1:],
    )
    write_tables(folder, images, metrics)
    publish_montages(folder)
    journal.publish(folder / COUNTS)
    write_json(folder / "metrics.json", metrics)
