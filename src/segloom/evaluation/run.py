"""Measure a trained network on a split and write down what was found.

    read sample -> label map -> counts -> journal    per image, one at a time
    sum -> scores, intervals, tables, montages       at the end

The label map has the size of the image as stored, and so do all counts. Only counts are kept of an
image that is done, so memory does not grow with the number of images beyond a few kilobytes each.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.config.load import read_config
from segloom.config.run import RunConfig
from segloom.data.readers import find_data_set, has_split, read_source
from segloom.errors import ConfigError, DataError, SegloomError
from segloom.evaluation.image_counts import ImageCounts, count_image
from segloom.evaluation.journal import Journal, fingerprint
from segloom.evaluation.montages import draw_montages, publish_montages
from segloom.evaluation.summary import summarize, write_tables
from segloom.files import hold_lock, remove_temporary_files, write_json
from segloom.labels.space import network_space, space_of
from segloom.prediction.results import label_files, write_labels
from segloom.run_directory import RunDirectory
from segloom.types import LabelSet, Record

if TYPE_CHECKING:
    from segloom.data import SegmentationDataset
    from segloom.inference import Predictor
    from segloom.models.model import SegmentationModel
    from segloom.models.weights.checkpoint import SavedModel

__all__ = ["Evaluation", "Progress", "evaluate", "measured_split"]

logger = logging.getLogger(__name__)

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

    def __repr__(self) -> str:
        scores = (f"{name} {score:.4f}" for name, score in self.scores.items() if score is not None)
        return f"Evaluation({self.folder}: {', '.join(scores)})"

    def interval(self, name: str) -> tuple[float, float] | None:
        """95 % interval of a score, for example ``mIoU`` or ``IoU.road``; None if there is none."""
        ends = self.metrics["intervals"].get(name)
        return None if ends is None else (ends[0], ends[1])


def evaluate(
    run: str | os.PathLike[str],
    config: EvalConfig | None = None,
    data: DataConfig | Mapping[str, object] | None = None,
    out: Path | None = None,
    *,
    split: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Measure a run, or a model directory, on a split.

    An interrupted evaluation goes on where it stopped when it is called again with the same
    options, weights and files; until it is complete, an earlier result stays as it was.

    Args:
        run: A run directory (its best checkpoint is taken), a model directory, or what
            `segloom.train` returned.
        config: What is measured, and how an image is seen; None takes the run's config.yaml, and
            the split val where its data has no split test.
        data: The images, or options of `DataConfig` by name; None takes those of config.yaml.
        out: Folder of the results; None is ``<run>/eval/<split>``.
        split: Instead of the split of ``config``: train, val or test.
        on_progress: Called before the first image and after each.

    Raises:
        CheckpointError: There is no network at ``run``, or it cannot be loaded.
        ConfigError: There is no data, the data has other classes than the network, or another
            process writes to the folder.
        DataError: A file of the split cannot be used, or no label map of it holds a pixel of a
            class; the sentence names it.
    """
    from segloom.data import build_dataset
    from segloom.inference import Predictor
    from segloom.models.weights.checkpoint import from_pretrained, read_saved

    run = Path(run)
    saved = read_saved(run)
    run_config = _run_config(run)
    data = _data_of(run, run_config, data)
    config = _config_of(run_config, config, data, split)
    dataset = build_dataset(data, config.split, pixels=saved.pixels)
    _check_classes(run, dataset.labels, saved, data.name)
    dataset.require_labels(config.split)
    folder = out or RunDirectory(run).evaluation(config.split)
    model = from_pretrained(run)
    if model.edge_channels:
        dataset.require_edges()
    key = _fingerprint(config, data, saved, dataset)
    predictor = Predictor(model, dataset.labels, config.inference)
    refusal = (
        f"another evaluation is writing to {folder}; wait until it has ended, or choose another "
        "folder with --out."
    )
    with hold_lock(folder / ".lock", refusal):
        remove_temporary_files(folder)
        journal = Journal(folder / JOURNAL, key, len(dataset.labels.classes), config)
        _measure(dataset, predictor, journal, folder, config, on_progress)
        images = [journal.done[index] for index in range(len(dataset))]
        cases = [record.case for record in dataset.records]
        metrics = summarize(
            images,
            dataset.labels,
            config,
            regions=dataset.regions,
            cases=cases,
            trained=_trained_groups(run_config, dataset.records, config.split),
        )
        metrics["model"] = _describe_model(model, run_config)
        _write(folder, journal, images, metrics, dataset, predictor, config)
    return Evaluation(folder, metrics)


_DATA_FIELDS = frozenset(
    {"name", "root", "label_map", "mask_format", "ignore_values", "classes", "palette"}
    | {"group_by", "hu_window"}
)
"""Options that change what a file means; which files are read is in the fingerprint anyway."""


def _run_config(run: Path) -> RunConfig | None:
    path = RunDirectory(run).config
    return read_config(path) if path.is_file() else None


def _data_of(
    run: Path, run_config: RunConfig | None, data: DataConfig | Mapping[str, object] | None
) -> DataConfig:
    if isinstance(data, Mapping):
        return RunConfig().override(data=data).data
    data = data or (run_config.data if run_config else None)
    if data is None:
        raise ConfigError(
            f"{run} does not say on which data it was trained (no config.yaml); name the data, "
            "for example --data.name camvid --data.root DIR."
        )
    return data


def _config_of(
    run_config: RunConfig | None, config: EvalConfig | None, data: DataConfig, split: str | None
) -> EvalConfig:
    if split is not None:
        config = config or (run_config.eval if run_config else EvalConfig())
        return RunConfig(eval=config).override(eval_split=split).eval
    if config is not None:
        return config
    config = run_config.eval if run_config else EvalConfig()
    return config.model_copy(update={"split": measured_split(config.split, data)})


def measured_split(split: str, data: DataConfig) -> str:
    """Return ``split``, or val where nothing else can be meant: there is no test split."""
    if split != "test" or has_split(data, "test") or not has_split(data, "val"):
        return split
    logger.warning("there is no split test; val is measured, which also chose the checkpoint")
    return "val"


def _trained_groups(
    run_config: RunConfig | None, measured: Sequence[Record], split: str
) -> set[str]:
    """Name the groups of the images that a run was trained on; none if they are not here."""
    has_groups = any(record.place.group for record in measured)
    if run_config is None or split == "train" or not has_groups:
        return set()
    try:
        records = read_source(run_config.data, "train").records
    except SegloomError:
        return set()
    return {record.place.group for record in records} - {""}


def _check_classes(run: Path, data: LabelSet, saved: SavedModel, reader: str) -> None:
    model, own = saved.labels, network_space(saved.spec["mode"], saved.spec["classes"])
    found = space_of(data)
    if own.mode not in found.network_modes:
        raise ConfigError(
            f"{run} was trained for {own.wants}, but the data's classes {found.words}; set "
            "data.mask_format as in its training."
        )
    if model is not None and model.classes != data.classes:
        mend = find_data_set(reader).fix_classes(model.classes, data.classes)
        raise ConfigError(
            f"{run} was trained on the classes {', '.join(model.classes)}, but the data has "
            f"{', '.join(data.classes)}; {mend}"
        )
    if own.num_classes != len(data.classes):
        raise ConfigError(
            f"{run} has {own.num_classes} classes, but the data has {len(data.classes)}; name "
            "other data, or another network."
        )


def _fingerprint(
    config: EvalConfig, data: DataConfig, saved: SavedModel, dataset: SegmentationDataset
) -> str:
    """Hash all that the counts of the images depend on."""
    samples = [_describe(record.id, *record.files) for record in dataset.records]
    # What an earlier version left unfinished goes on: it knew no measures of other packages.
    uncounted = {"bootstrap", "montages", *([] if config.measures else ["measures"])}
    values = {
        "counted": config.model_dump(mode="json", exclude=uncounted),
        # What an earlier version left unfinished goes on: it knew no options of plug-ins.
        "data": data.model_dump(
            mode="json", include={*_DATA_FIELDS, *(["options"] if data.options else [])}
        ),
        "model": [saved.spec, list(saved.normalization)],
        "samples": samples,
    }
    return fingerprint(values, {"weights": saved.weights})


def _describe(name: str, *files: Path) -> list[str | int | float | None]:
    """Identify a sample by the paths, sizes and times of its files."""
    parts: list[str | int | float | None] = [name]
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
        journal.append(index, replace(counts, place=dataset.records[index].place))
        measured += 1
        if on_progress:
            seconds = time.monotonic() - start
            on_progress(Progress(len(journal.done), total, measured, seconds))


def _keep(folder: Path, name: str, prediction: NDArray[np.integer], labels: LabelSet) -> None:
    """Write a predicted label map: class ids, or a mask per class where they may overlap."""
    write_labels([*label_files(folder, labels, name, "").values()], prediction, labels)


def _file_name(name: str) -> str:
    """Keep the name of a sample from leaving its folder."""
    return name.replace("/", "_").replace("\\", "_")


def _look(
    dataset: SegmentationDataset, predictor: Predictor, index: int
) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.integer]]:
    """Return name, image ``(H, W, 3)``, truth and prediction ``(H, W)`` of a sample."""
    sample = dataset[index]
    seen = predictor.pixels(sample)
    truth: NDArray[np.uint8] = sample["mask"].numpy()
    image, form = seen[..., : sample["image"].shape[0]], predictor.pixel_format
    return (
        sample["meta"]["id"],
        form.picture(image) if form else image,
        truth,
        predictor.label_map(seen),
    )


def _describe_model(model: SegmentationModel, run_config: RunConfig | None) -> dict[str, object]:
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
