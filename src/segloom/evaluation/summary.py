"""From the counts of the images to metrics.json (version 1) and its tables.

Each measure (`segloom.evaluation.measures`) makes its part. Shares are 0 to 1; what does not exist
is None (null in JSON, an empty cell in CSV).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.groups import describe_groups, resampling_of, trained_groups
from segloom.evaluation.measures import MEASURES, configured_measures, find_measure, our_measures
from segloom.evaluation.measures.base import (
    ImageCounts,
    Measure,
    ScoreGroup,
    Shown,
    SplitCounts,
    Table,
    intervals_of,
    number_or_none,
)
from segloom.files import write_csv
from segloom.labels.palette import default_palette
from segloom.metrics import Scores
from segloom.metrics.statistics import CONFIDENCE
from segloom.types import LabelSet, Region

__all__ = ["counted_scores", "image_scores", "sections", "summarize", "write_tables"]

VERSION = 1


def summarize(
    images: Sequence[ImageCounts],
    labels: LabelSet,
    config: EvalConfig,
    *,
    regions: Sequence[Region] = (),
    cases: Sequence[str] = (),
    trained: Collection[str] = (),
) -> dict[str, object]:
    """Make the content of metrics.json, but for the model and the montages.

    Args:
        images: Counts of every image, at least one.
        labels: Classes and palette.
        config: What was measured.
        regions: Classes that are scored together.
        cases: To which case each image belongs, empty for one of its own; none for all alone.
        trained: Names of the groups that were trained on.
    """
    resamples = config.bootstrap if len(images) > 1 else 0
    counted = SplitCounts(images, labels, regions, cases, config.bootstrap)
    measures = configured_measures(config)
    groups = [group for measure in measures for group in measure.scores(counted)]
    drawn = resampling_of(images)
    metrics: dict[str, object] = {
        "version": VERSION,
        "split": config.split,
        "num_images": len(images),
        "classes": list(labels.classes),
        "palette": [list(color) for color in labels.palette],
        "intervals": intervals_of(groups, resamples, drawn) if resamples else {},
        "bootstrap": {"resamples": resamples, "confidence": CONFIDENCE, "unit": drawn.unit},
        "groups": describe_groups(images),
        "trained_groups": trained_groups(images, trained),
        "inference": config.inference.model_dump(mode="json"),
    }
    others = {}
    for measure in measures:
        part = measure.summarize(counted)
        if measure.name in MEASURES:
            metrics |= part
        else:
            others[measure.name] = _part_of(measure, part, counted, metrics)
    return metrics | ({"measures": others} if others else {})


def _part_of(
    measure: Measure, part: dict[str, object], counted: SplitCounts, metrics: Mapping[str, object]
) -> dict[str, object]:
    """Make what metrics.json holds of a measure of another package."""
    shown = measure.section({**metrics, **part})
    return {
        "options": measure.options.model_dump(mode="json"),
        "scores": {
            name: number_or_none(value)
            for names, counts, statistic, _ in measure.scores(counted)
            for name, value in zip(names, statistic(counts.sum(0, keepdims=True))[0], strict=True)
        },
        "section": shown and shown.to_json(),
        **part,
    }


def image_scores(image: ImageCounts) -> Scores:
    """Score one image from its own counts."""
    return image.measures.scores(image.confusion)


def sections(metrics: Mapping[str, Any]) -> list[Shown]:
    """Return what is shown of every measure, in order."""
    ours = [measure.section(metrics) for measure in our_measures()]
    others = [part["section"] for part in metrics.get("measures", {}).values()]
    return [shown for shown in [*ours, *(part and Shown(**part) for part in others)] if shown]


def write_tables(
    folder: Path, images: Sequence[ImageCounts], metrics: Mapping[str, Any]
) -> dict[str, Path]:
    """Write per_image.csv and the tables of every measure, such as confusion.csv and size.csv."""
    classes: list[str] = metrics["classes"]
    tables = {
        "per_image.csv": Table(
            ["id", "mIoU", "aAcc", *(f"IoU.{name}" for name in classes)],
            [_image_row(image, classes) for image in images],
        )
    }
    others: Mapping[str, Mapping[str, object]] = metrics.get("measures", {})
    for measure in [*our_measures(), *map(find_measure, others)]:
        own = {**metrics, **others.get(measure.name, {})}
        for name, table in measure.tables(own).items():
            tables[name] = _merged(tables[name], table) if name in tables else table
        for name in measure.files:
            if not (name in tables and tables[name].rows):
                # Of an earlier evaluation that did measure it.
                (folder / name).unlink(missing_ok=True)
    written = {name: table for name, table in tables.items() if table.rows}
    for name, table in written.items():
        write_csv(folder / name, table.columns, table.rows)
    return {name: folder / name for name in written}


def _merged(first: Table, second: Table) -> Table:
    columns = [*first.columns, *(name for name in second.columns if name not in first.columns)]
    return Table(columns, [*first.rows, *second.rows])


def _image_row(image: ImageCounts, classes: Sequence[str]) -> dict[str, object]:
    result = image_scores(image)
    return {
        "id": image.id,
        "mIoU": number_or_none(result.mIoU),
        "aAcc": number_or_none(result.aAcc),
        **{f"IoU.{name}": number_or_none(result.IoU[k]) for k, name in enumerate(classes)},
    }


def counted_scores(
    images: Sequence[ImageCounts], classes: Sequence[str], config: EvalConfig
) -> Iterator[ScoreGroup]:
    """Yield every score that comparisons look at, with the counts that it follows from."""
    overlaps = images[0].is_multilabel
    labels = LabelSet(tuple(classes), default_palette(len(classes)), is_multilabel=overlaps)
    counted = SplitCounts(images, labels)
    for measure in configured_measures(config):
        yield from (group for group in measure.scores(counted) if group.is_compared)
