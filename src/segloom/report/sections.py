"""What a report shows, section by section, in the order of the page.

Each function takes a `Record` and returns plain values for the template, or None where the run
does not have what the section tells.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from segloom.labels.space import MODES
from segloom.report.curves import training_curves
from segloom.report.embed import Embedded, embed_picture
from segloom.report.plots import (
    BarChart,
    LineChart,
    bar_chart,
    histogram_chart,
    line_chart,
    short_number,
)
from segloom.report.read import Bucket, Montage, RunRecord, Size

__all__ = [
    "ClassRow",
    "ConfusionRow",
    "Figure",
    "TableCell",
    "class_rows",
    "command_lines",
    "confusion_rows",
    "css_color",
    "facts",
    "figures",
    "frequent_confusions",
    "histories",
    "other_tables",
    "per_image_chart",
    "percent",
    "score_list",
    "size_chart",
    "size_classes",
    "titles",
]

SCORES = {
    "mIoU": "mean IoU",
    "aAcc": "pixel accuracy",
    "mAcc": "mean class accuracy",
    "mDice": "mean Dice",
    "fwIoU": "frequency-weighted IoU",
}
"""Scores of metrics.json that the head of the report names, in this order."""

OTHER_WORDS = {"multilabel": {"aAcc": "right answers", "mAcc": "mean class recall"}}
"""What some of them are called in other modes."""

PICTURE_BUDGET = 3_600_000
"""Bytes for all pictures together before base64, which adds a third."""
MAX_FIGURES = 12
"""Of the best and of the worst images, each."""
MAX_NAMED_CELLS = 40
"""Above this many classes the confusion matrix prints no numbers and leaves out small cells."""


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share as per cent; an en dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value * 100:.{digits}f}"


@dataclass(frozen=True)
class ClassRow:
    """One row of the per-class table; scores and interval are shares."""

    name: str
    color: str
    pixels: float | None
    iou: float | None
    interval: tuple[float, float] | None
    accuracy: float | None
    precision: float | None
    dice: float | None


@dataclass(frozen=True)
class TableCell:
    """One cell of the confusion matrix: its share of the row, and how it looks."""

    column: int
    share: float
    strength: float
    """Of the colour, 0 to 1."""
    is_right: bool
    label: str
    title: str


@dataclass(frozen=True)
class ConfusionRow:
    """One class of the truth; a class without truth has no cells."""

    name: str
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class Figure:
    """A montage, or the reason why it is missing."""

    name: str
    iou: float | None
    picture: Embedded | None


class OtherTable(NamedTuple):
    """What a measure of another package shows; content comes with whether it is words."""

    title: str
    definition: str
    columns: list[tuple[str, bool]]
    rows: list[list[tuple[str, bool]]]


def titles(record: RunRecord) -> tuple[str, str]:
    """Name the network, and what it was measured on."""
    model = record.metrics.model
    parts = [model.architecture, model.encoder_name, *_enhancements(record)] if model else []
    network = " + ".join(str(part) for part in parts if part) or _run_name(record)
    data, root = record.option("data", "name"), record.option("data", "root")
    place = Path(str(root)).name if root else ""
    if place and data and place.lower() != str(data).lower():
        data = f"{place} (read as {data})"
    where = f"{data}, {record.metrics.split} split" if data else record.metrics.split
    return network, f"{where}, run {_run_name(record)}"


def _run_name(record: RunRecord) -> str:
    return record.run.path.resolve().name


def _enhancements(record: RunRecord) -> list[str]:
    model = record.metrics.model
    return [str(item) for item in model.enhancements] if model else []


def score_list(
    record: RunRecord,
) -> list[tuple[str, str, float | None, tuple[float, float] | None]]:
    """List key, words, value and interval of the scores of the whole split."""
    scores = record.metrics.scores
    names = SCORES | OTHER_WORDS.get(record.metrics.mode, {})
    return [
        (key, words, scores[key], record.metrics.interval(key))
        for key, words in names.items()
        if key in scores
    ]


def facts(record: RunRecord) -> list[tuple[str, str]]:
    """Describe what was measured: pairs of a word and a phrase."""
    metrics, model = record.metrics, record.metrics.model
    images = f"{metrics.num_images:,} image{'' if metrics.num_images == 1 else 's'}"
    rows: list[tuple[str, object]] = [
        ("Run", _run_name(record)),
        ("Data", record.option("data", "name")),
        ("Split", f"{metrics.split}, {images}"),
        ("Classes", f"{len(metrics.classes)}{MODES[metrics.mode].class_words}"),
    ]
    if model:
        weights = record.option("model", "encoder_weights")
        start = f" (weights: {weights})" if weights else ""
        rows += [
            ("Architecture", model.architecture),
            ("Encoder", model.encoder_name and f"{model.encoder_name}{start}"),
            ("Enhancements", ", ".join(_enhancements(record)) or "none"),
            ("Parameters", _count(model.num_parameters)),
        ]
    epochs, seed = record.option("train", "epochs"), record.option("train", "seed")
    if epochs is not None:
        rows.append(("Training", f"{epochs} epochs" + ("" if seed is None else f", seed {seed}")))
    rows += [("Inference", _describe(metrics.inference)), ("Void pixels", metrics.policy)]
    return [(word, str(phrase)) for word, phrase in rows if phrase not in (None, "")]


def _count(value: int | None) -> str | None:
    if value is None:
        return None
    return f"{value / 1e6:.2f} million" if value >= 1e5 else f"{value:,}"


def _describe(options: Mapping[str, object] | None) -> str:
    """Write options as a phrase, ``scales 1.0, 1.5; flip yes``, without what is off or unset."""
    parts = []
    for name, value in (options or {}).items():
        if value is None or value is False:
            continue
        if isinstance(value, list | tuple):
            value = ", ".join(str(item) for item in value)
        parts.append(f"{name} {'yes' if value is True else value}")
    return "; ".join(parts)


def class_rows(record: RunRecord) -> list[ClassRow]:
    """List the classes in the order of their ids."""
    metrics = record.metrics
    colors = dict(zip(metrics.classes, metrics.palette, strict=True))
    return [
        ClassRow(
            name=scores.name,
            color=css_color(colors.get(scores.name, (128, 128, 128))),
            pixels=scores.pixels,
            iou=scores.IoU,
            interval=metrics.interval(f"IoU.{scores.name}"),
            accuracy=scores.accuracy,
            precision=scores.precision,
            dice=scores.Dice,
        )
        for scores in metrics.per_class
    ]


def css_color(color: Sequence[int]) -> str:
    """Write an RGB colour, 0 to 255, as ``#rrggbb``."""
    return "#" + "".join(f"{min(max(value, 0), 255):02x}" for value in color)


def confusion_rows(record: RunRecord) -> list[ConfusionRow]:
    """Share out every row of the confusion matrix over the predicted classes."""
    names, rows = record.metrics.classes, []
    is_small = len(names) <= MAX_NAMED_CELLS
    for truth, counts in enumerate(record.metrics.confusion):
        total = sum(counts)
        cells = [
            _cell(names, truth, column, count / total, is_small)
            for column, count in enumerate(counts)
            if total and (is_small or count / total >= 0.01)
        ]
        rows.append(ConfusionRow(names[truth], tuple(cells)))
    return rows


def _cell(
    names: Sequence[str], truth: int, column: int, share: float, has_label: bool
) -> TableCell:
    is_right = truth == column
    # The square root lifts rare confusions, which are what one looks for.
    strength = share if is_right else share**0.5 if share >= 0.005 else 0.0
    label = f"{share * 100:.0f}" if has_label and share >= 0.005 else ""
    title = f"truth {names[truth]}, predicted {names[column]}: {share * 100:.2f} %"
    return TableCell(column, share, round(strength, 3), is_right, label, title)


def frequent_confusions(record: RunRecord, *, count: int = 6) -> list[tuple[str, str, float]]:
    """Find the largest shares of one class taken for another: truth, predicted, share."""
    names, found = record.metrics.classes, []
    for truth, counts in enumerate(record.metrics.confusion):
        total = sum(counts)
        for column, value in enumerate(counts):
            if column != truth and total and value / total >= 0.005:
                found.append((names[truth], names[column], value / total))
    return sorted(found, key=lambda item: -item[2])[:count]


def size_chart(size: Size | None) -> BarChart | None:
    """Draw IoU and recall by object size."""
    if size is None:
        return None
    buckets = size.buckets
    columns = {"IoU": [b.IoU for b in buckets], "recall": [b.recall for b in buckets]}
    columns = {
        name: values for name, values in columns.items() if any(v is not None for v in values)
    }
    return bar_chart([b.name for b in buckets], columns, x_title="object size")


def size_classes(record: RunRecord) -> list[tuple[str, list[float | None]]]:
    """Table of IoU by class (rows) and object size (columns), where the evaluation has it."""
    size = record.metrics.size
    if size is None or not size.buckets:
        return []
    table: dict[str, list[float | None]] = {name: [] for name in record.metrics.classes}
    for bucket in size.buckets:
        scores = _class_scores(bucket)
        for name, values in table.items():
            values.append(scores.get(name))
    return [(name, values) for name, values in table.items() if any(v is not None for v in values)]


def _class_scores(bucket: Bucket) -> dict[object, float | None]:
    """Return the IoU of every class in objects of one size; other programs may have written it."""
    by_name = {i.get("name"): i.get("IoU") for i in bucket.per_class if isinstance(i, dict)}
    return {
        name: value if isinstance(value, float | int) else None for name, value in by_name.items()
    }


def other_tables(record: RunRecord) -> list[OtherTable]:
    """Take the tables of measures of other packages, as they say what is shown of them."""
    tables = []
    for measure in record.metrics.measures.values():
        if (shown := measure.section) is None:
            continue
        words = [True] * shown.num_words + [False] * len(shown.columns)
        names = [shown.title, *shown.columns]
        rows = [
            list(zip([_content(value) for value in row], words, strict=False)) for row in shown.rows
        ]
        columns = list(zip(names, words, strict=False))
        tables.append(OtherTable(shown.title, shown.definition, columns, rows))
    return tables


def _content(value: str | int | float | tuple[float, float] | None) -> str:
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, tuple):
        return f"{percent(value[0])} to {percent(value[1])}"
    return percent(value)


def per_image_chart(record: RunRecord) -> BarChart | None:
    """Draw how the images' mean IoU is spread."""
    values = [value for _, value in record.per_image]
    return histogram_chart(values, x_title="mean IoU of an image")


def histories(record: RunRecord) -> list[tuple[str, LineChart]]:
    """Draw the training: losses, validation scores and learning rate over the epochs."""
    charts = [
        (
            curves.title,
            line_chart(
                curves.points,
                label=_axis_percent if curves.are_shares else short_number,
                mark=curves.mark,
            ),
        )
        for curves in training_curves(record.history)
    ]
    return [(title, chart) for title, chart in charts if chart is not None]


def _axis_percent(value: float) -> str:
    return f"{value * 100:.4g} %" if abs(value) >= 1e-4 else "0 %"


def figures(record: RunRecord) -> list[tuple[str, list[Figure]]]:
    """Embed the pictures of the worst and of the best images."""
    montages = record.metrics.montages
    if montages is None:
        return []
    groups = [
        ("Worst images", montages.worst[:MAX_FIGURES]),
        ("Best images", montages.best[:MAX_FIGURES]),
    ]
    limit = PICTURE_BUDGET // max(sum(len(group) for _, group in groups), 1)
    return [
        (title, [_figure(record.folder, montage, limit) for montage in group])
        for title, group in groups
        if group
    ]


def _figure(folder: Path, montage: Montage, limit: int) -> Figure:
    path = folder / montage.file
    # A metrics.json from elsewhere must not draw other files of this machine into the page.
    is_inside = path.resolve().is_relative_to(folder.resolve())
    picture = embed_picture(path, limit=limit) if is_inside else None
    return Figure(montage.id, montage.mean_iou, picture)


def command_lines(record: RunRecord) -> list[str]:
    """List what one types to make the run and its evaluation again."""
    train = record.command or ""
    if not train and record.config_text:
        train = shlex.join(["segloom", "train", str(record.run.config)])
    measure = ["segloom", "eval", str(record.run.path), "--split", record.metrics.split]
    return [*(line for line in train.splitlines() if line.strip()), shlex.join(measure)]
