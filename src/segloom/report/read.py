"""Read what an evaluation and its training left in the run directory.

Only ``metrics.json`` is required; a report leaves out what the other files would have told.
Numbers that are missing, null or not finite are None.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from segloom.errors import DataError
from segloom.files import parse_json, parse_yaml
from segloom.run_directory import RunDirectory

__all__ = [
    "Boundary",
    "Bucket",
    "DavisBoundary",
    "Metrics",
    "Montage",
    "RunRecord",
    "Size",
    "Tolerance",
    "number",
    "read_history",
    "read_record",
]

VERSION = 1


def number(value: Any) -> float | None:
    """Read a finite number from JSON or a CSV cell; None where there is none."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


Number = Annotated[float | None, BeforeValidator(number)]


class _Part(BaseModel):
    """Part of metrics.json; keys of later versions are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ClassScores(_Part):
    """Scores of one class, 0 to 1; ``pixels`` is its share of the counted truth."""

    name: str
    IoU: Number = None
    accuracy: Number = None
    precision: Number = None
    Dice: Number = None
    pixels: Number = None


class Bucket(_Part):
    """Objects of one size."""

    name: str
    num_objects: int = 0
    IoU: Number = None
    recall: Number = None
    per_class: list[object] = Field(default_factory=list)


class Size(_Part):
    """Scores by object size."""

    definition: str = ""
    buckets: list[Bucket] = Field(default_factory=list)


class ClassBoundary(_Part):
    """Boundary scores of one class."""

    name: str
    boundary_iou: Number = Field(None, alias="bIoU")
    boundary_f: Number = Field(None, alias="bF")


class Tolerance(_Part):
    """Boundary scores at one width of the band: a share of the image diagonal, and in pixels."""

    tolerance: Number = None
    pixels: Number = None
    boundary_iou: Number = Field(None, alias="bIoU")
    boundary_f: Number = Field(None, alias="bF")
    per_class: list[ClassBoundary] = Field(default_factory=list)


class Boundary(_Part):
    """Scores along the outlines."""

    definition: str = ""
    tolerances: list[Tolerance] = Field(default_factory=list)


class DavisScores(_Part):
    """Boundary F of DAVIS with its precision and recall, means over the images."""

    name: str = ""
    f: Number = Field(None, alias="F")
    precision: Number = None
    recall: Number = None


class DavisTolerance(DavisScores):
    """The same at one tolerance (below 1 a share of the image diagonal), and by class."""

    tolerance: Number = None
    pixels: Number = None
    per_class: list[DavisScores] = Field(default_factory=list)


class DavisBoundary(_Part):
    """Scores along the outlines, as DAVIS counts them."""

    definition: str = ""
    tolerances: list[DavisTolerance] = Field(default_factory=list)


class RegionPart(_Part):
    """Scores of classes that count as one: the mean over units, and of all pixels together."""

    name: str
    mean: dict[str, Number] = Field(default_factory=dict)
    whole: dict[str, Number] = Field(default_factory=dict)
    intervals: dict[str, tuple[Number, Number] | None] = Field(default_factory=dict)

    def interval(self, name: str) -> tuple[float, float] | None:
        """Find the 95 % interval of a score: ``mean.Dice``, ``whole.Jaccard``, ..."""
        low, high = self.intervals.get(name) or (None, None)
        return None if low is None or high is None else (low, high)


class Regions(_Part):
    """Scores of regions; a unit is an image or a case."""

    definition: str = ""
    unit: str = "image"
    num_units: int = 0
    regions: list[RegionPart] = Field(default_factory=list)


class ShownPart(_Part):
    """What a measure of another package shows: a table, and what its numbers mean."""

    title: str
    columns: list[str]
    rows: list[list[str | int | float | tuple[float, float] | None]] = Field(default_factory=list)
    definition: str = ""
    num_words: int = 1


class OtherMeasure(_Part):
    """Part of a measure of another package."""

    section: ShownPart | None = None


class Montage(_Part):
    """A picture of one image's result; ``file`` lies below the folder of the evaluation."""

    id: str
    file: str
    mean_iou: Number = Field(None, alias="mIoU")


class Montages(_Part):
    """The images with the best and the worst scores."""

    best: list[Montage] = Field(default_factory=list)
    worst: list[Montage] = Field(default_factory=list)


class ModelFacts(_Part):
    """What was evaluated."""

    architecture: str | None = None
    encoder_name: str | None = None
    enhancements: list[object] | dict[str, object] = Field(default_factory=list)
    num_parameters: int | None = None


class Bootstrap(_Part):
    """How the intervals came about."""

    resamples: int = 0


class GroupScores(_Part):
    """A film, patient or city by itself."""

    name: str
    num_images: int
    mean_iou: Number = Field(None, alias="mIoU")
    accuracy: Number = Field(None, alias="aAcc")


class Groups(_Part):
    """Images that depend on one another, and what the intervals draw therefore."""

    rule: str = ""
    groups: list[GroupScores] = Field(default_factory=list)


class TrainedGroups(_Part):
    """Images from groups that were trained on."""

    words: str = ""


class Metrics(_Part):
    """The whole of metrics.json."""

    version: int
    split: str
    num_images: int
    classes: list[str]
    palette: list[Annotated[list[int], Field(min_length=3, max_length=3)]]
    scores: dict[str, Number]
    intervals: dict[str, tuple[Number, Number] | None] = Field(default_factory=dict)
    bootstrap: Bootstrap | None = None
    per_class: list[ClassScores] = Field(default_factory=list)
    mode: str = "multiclass"
    confusion: list[list[int]] = Field(default_factory=list)
    size: Size | None = None
    boundary: Boundary | None = None
    davis_boundary: DavisBoundary | None = None
    regions: Regions | None = None
    measures: dict[str, OtherMeasure] = Field(default_factory=dict)
    groups: Groups | None = None
    trained_groups: TrainedGroups | None = None
    policy: str | None = None
    inference: dict[str, object] | None = None
    model: ModelFacts | None = None
    montages: Montages | None = None

    @model_validator(mode="after")
    def _check_sizes(self) -> Metrics:
        count = len(self.classes)
        if len(self.palette) != count:
            raise ValueError(f"{count} classes but {len(self.palette)} colours in the palette")
        rows = [len(row) for row in self.confusion]
        if rows and (len(rows) != count or set(rows) != {count}):
            raise ValueError(f"the confusion matrix is not {count} x {count} for {count} classes")
        return self

    def interval(self, name: str) -> tuple[float, float] | None:
        """Find the 95 % interval of a score: ``mIoU``, ``IoU.road``, ``bF@0.02``, ..."""
        low, high = self.intervals.get(name) or (None, None)
        return None if low is None or high is None else (low, high)


@dataclass(frozen=True)
class RunRecord:
    """All that a report is made of."""

    run: RunDirectory
    folder: Path
    """Of the evaluation."""
    metrics: Metrics
    per_image: tuple[tuple[str, float], ...] = ()
    """Name and mIoU of every image that has one."""
    history: tuple[dict[str, float | None], ...] = ()
    """One row per epoch, by column of metrics.csv."""
    config_text: str | None = None
    config: dict[str, object] = field(default_factory=dict)
    command: str | None = None
    """The command line that made the run."""

    def option(self, section: str, name: str) -> object:
        """Look up one value of the configuration; None where it is not told."""
        group = self.config.get(section)
        return group.get(name) if isinstance(group, dict) else None


def read_record(run: Path, split: str) -> RunRecord:
    """Read the files of one evaluation.

    Raises:
        DataError: There is no evaluation of this split, or its metrics.json is damaged.
    """
    directory = RunDirectory(run)
    folder = directory.evaluation(split)
    config_text = _read_text(directory.config)
    return RunRecord(
        run=directory,
        folder=folder,
        metrics=_read_metrics(folder / "metrics.json", directory, split),
        per_image=tuple(_read_per_image(folder / "per_image.csv")),
        history=tuple(read_history(directory.history)),
        config_text=config_text,
        config=_parse_config(config_text),
        command=_read_text(directory.path / "command.txt"),
    )


def _read_metrics(path: Path, directory: RunDirectory, split: str) -> Metrics:
    again = f"`segloom eval {directory.path} --split {split}`"
    if not path.is_file():
        raise DataError(f"{path} is missing; measure the run first with {again}.")
    try:
        # File names that are not UTF-8 come as lone surrogates, which pydantic refuses.
        text = json.dumps(parse_json(path.read_bytes()), ensure_ascii=False)
        metrics = Metrics.model_validate_json(text.encode("utf-8", "replace"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"{path} cannot be read: {where}: {first['msg']}; write it anew with {again}."
        ) from None
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {error}; write it anew with {again}.") from None
    if metrics.version != VERSION:
        raise DataError(
            f"{path} has version {metrics.version}, but this segloom reads version {VERSION}; "
            f"write it anew with {again}."
        )
    return metrics


def _read_text(path: Path) -> str | None:
    """Read a text of up to 256 KiB; a report is no place for more."""
    try:
        with path.open("rb") as file:
            text = file.read(1 << 18).decode("utf-8", errors="replace").strip()
    except OSError:
        return None
    return text or None


def _parse_config(text: str | None) -> dict[str, object]:
    try:
        content = parse_yaml(text or "")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            return list(csv.DictReader(file, restkey="", restval=""))
    except (OSError, csv.Error):
        return []


def _read_per_image(path: Path) -> list[tuple[str, float]]:
    pairs = [(row.get("id", ""), number(row.get("mIoU"))) for row in _read_rows(path)]
    return [(name, value) for name, value in pairs if value is not None]


def read_history(path: Path) -> list[dict[str, float | None]]:
    """Read a training's metrics.csv, one row per epoch; none where there is no such file."""
    rows = [{name: number(value) for name, value in row.items()} for row in _read_rows(path)]
    return [row for row in rows if row.get("epoch") is not None]
