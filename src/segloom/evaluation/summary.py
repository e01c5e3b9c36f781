"""From the counts of the images to metrics.json (version 1) and its tables.

Shares are 0 to 1; what does not exist is None (null in JSON, an empty cell in CSV).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.davis_summary import (
    DAVIS_COLUMNS,
    davis_intervals,
    davis_rows,
    summarize_davis,
)
from segloom.evaluation.image_counts import ImageCounts
from segloom.evaluation.region_summary import summarize_regions, write_regions
from segloom.files import write_csv
from segloom.metrics import (
    MULTILABEL_POLICY,
    POLICY,
    Scores,
    bootstrap_interval,
    boundary_scores,
    class_totals,
    multilabel_scores,
    scores,
    size_scores,
)
from segloom.metrics.boundary import BOUNDARY_DEFINITION
from segloom.metrics.multilabel import MULTILABEL_NAMES
from segloom.metrics.scores import SUMMARY_NAMES, scores_of_totals
from segloom.metrics.size_buckets import SIZE_DEFINITION, bucket_names
from segloom.metrics.statistics import CONFIDENCE
from segloom.types import LabelSet, Region

__all__ = ["counted_scores", "image_scores", "summarize", "write_tables"]

VERSION = 1

Array = NDArray[Any]


def summarize(
    images: Sequence[ImageCounts],
    labels: LabelSet,
    config: EvalConfig,
    *,
    regions: Sequence[Region] = (),
    cases: Sequence[str] = (),
) -> dict[str, Any]:
    """Make the content of metrics.json, but for the model and the montages.

    Args:
        images: Counts of every image, at least one.
        labels: Classes and palette.
        config: What was measured.
        regions: Classes that are scored together; where there are two classes and no regions, the
            second class is one, and where classes may overlap, each is.
        cases: To which case each image belongs, empty for one of its own; none for all alone.
    """
    is_multilabel = labels.is_multilabel
    if is_multilabel:
        regions = [Region(name, (index,)) for index, name in enumerate(labels.classes)]
    elif len(labels.classes) == 2 and not regions:
        regions = (Region(labels.classes[1], (1,)),)
    matrix = np.sum([image.confusion for image in images], axis=0)
    result = multilabel_scores(matrix) if is_multilabel else scores(matrix)
    names = MULTILABEL_NAMES if is_multilabel else SUMMARY_NAMES
    resamples = config.bootstrap if len(images) > 1 else 0
    return {
        "version": VERSION,
        "split": config.split,
        "num_images": len(images),
        "classes": list(labels.classes),
        "palette": [list(color) for color in labels.palette],
        "mode": "multilabel" if is_multilabel else "multiclass",
        "scores": {name: _value(getattr(result, name)) for name in names},
        "intervals": _intervals(images, labels.classes, config) if resamples else {},
        "bootstrap": {"resamples": resamples, "confidence": CONFIDENCE, "unit": "image"},
        "per_class": _per_class(labels.classes, result),
        **({"tables": matrix.tolist()} if is_multilabel else {"confusion": matrix.tolist()}),
        "size": _size(images, labels.classes, config) if config.size_limits else None,
        "boundary": _boundary(images, labels.classes, config)
        if config.boundary_tolerances
        else None,
        "davis_boundary": summarize_davis(images, labels.classes, config),
        "regions": summarize_regions(images, cases or [""] * len(images), regions, config),
        "policy": MULTILABEL_POLICY if is_multilabel else POLICY,
        "inference": config.inference.model_dump(mode="json"),
    }


def image_scores(image: ImageCounts) -> Scores:
    """Score one image from its own counts."""
    return multilabel_scores(image.confusion) if image.is_multilabel else scores(image.confusion)


def write_tables(
    folder: Path, images: Sequence[ImageCounts], metrics: dict[str, Any]
) -> dict[str, Path]:
    """Write per_image.csv, confusion.csv and, if measured, size, boundary and regions.csv.

    Classes that may overlap have tables.csv in the place of confusion.csv.
    """
    classes: list[str] = metrics["classes"]
    tables = {
        "per_image.csv": ["id", "mIoU", "aAcc", *(f"IoU.{name}" for name in classes)],
        "confusion.csv": ["truth", *classes],
        "tables.csv": ["class", "TN", "FP", "FN", "TP"],
        "size.csv": ["bucket", "class", "num_objects", "IoU", "recall"],
        "boundary.csv": ["tolerance", "pixels", "class", "bIoU", "bF"],
    }
    if metrics["davis_boundary"]:
        tables["boundary.csv"] += DAVIS_COLUMNS
    rows: dict[str, list[dict[str, Any]]] = {
        "per_image.csv": [_image_row(image, classes) for image in images],
        "confusion.csv": [
            {"truth": name, **dict(zip(classes, counts, strict=True))}
            for name, counts in zip(classes, metrics.get("confusion", ()), strict=False)
        ],
        "tables.csv": [
            {"class": name, "TN": no[0], "FP": no[1], "FN": yes[0], "TP": yes[1]}
            for name, (no, yes) in zip(classes, metrics.get("tables", ()), strict=False)
        ],
        "size.csv": _part_rows(metrics["size"], "buckets", "bucket"),
        "boundary.csv": [
            *_part_rows(metrics["boundary"], "tolerances", "tolerance"),
            *davis_rows(metrics["davis_boundary"]),
        ],
    }
    paths = {}
    for name, columns in tables.items():
        path = folder / name
        if rows[name]:
            write_csv(path, columns, rows[name])
            paths[name] = path
        else:
            path.unlink(missing_ok=True)  # of an earlier evaluation that did measure it
    if regions := write_regions(folder, metrics["regions"]):
        paths[regions.name] = regions
    return paths


def _value(number: SupportsFloat) -> float | None:
    number = float(number)
    return None if math.isnan(number) else number


def _per_class(classes: Sequence[str], result: Scores) -> list[dict[str, Any]]:
    fields = ("IoU", "accuracy", "precision", "Dice", "pixels")
    return [
        {"name": name, **{field: _value(getattr(result, field)[k]) for field in fields}}
        for k, name in enumerate(classes)
    ]


def _size(
    images: Sequence[ImageCounts], classes: Sequence[str], config: EvalConfig
) -> dict[str, Any]:
    counts = np.sum([image.size for image in images], axis=0)
    result = size_scores(counts)
    buckets = [
        {
            "name": name,
            "num_objects": int(counts[:, s, 0].sum()),
            "IoU": _value(result.mean_iou[s]),
            "recall": _value(result.recall[s]),
            "per_class": [
                {
                    "name": label,
                    "num_objects": int(counts[k, s, 0]),
                    "IoU": _value(result.iou[s, k]),
                    "recall": _value(result.class_recall[s, k]),
                }
                for k, label in enumerate(classes)
            ],
        }
        for s, name in enumerate(bucket_names(config.size_limits))
    ]
    return {"definition": SIZE_DEFINITION, "limits": list(config.size_limits), "buckets": buckets}


def _boundary(
    images: Sequence[ImageCounts], classes: Sequence[str], config: EvalConfig
) -> dict[str, Any]:
    result = boundary_scores(np.sum([image.boundary for image in images], axis=0))
    pixels = np.median([image.distances for image in images], axis=0)
    tolerances = [
        {
            "tolerance": tolerance,
            "pixels": int(pixels[t]),
            "bIoU": _value(result.mean_iou[t]),
            "bF": _value(result.mean_f[t]),
            "per_class": [
                {"name": name, "bIoU": _value(result.iou[t, k]), "bF": _value(result.f[t, k])}
                for k, name in enumerate(classes)
            ],
        }
        for t, tolerance in enumerate(config.boundary_tolerances)
    ]
    return {"definition": BOUNDARY_DEFINITION, "tolerances": tolerances}


def counted_scores(
    images: Sequence[ImageCounts], classes: Sequence[str], config: EvalConfig
) -> Iterator[tuple[list[str], Array, Callable[[Array], Array]]]:
    """Give every score with the counts that it follows from.

    Yields:
        Names, for example ``mIoU``, ``IoU.road``, ``IoU.size < 256 px``, ``bIoU@0.02``; counts
        ``(N, ...)`` of N images, which add over images; and the function from sums ``(R, ...)`` to
        scores ``(R, len(names))``, NaN where a score does not exist.
    """
    own = [f"IoU.{name}" for name in classes]
    if images[0].is_multilabel:
        tables = np.stack([image.confusion for image in images])
        yield [*MULTILABEL_NAMES, *own], tables, _table_columns
    else:  # totals instead of matrices: all scores need only these, K times smaller
        totals = np.stack([class_totals(image.confusion) for image in images])
        yield [*SUMMARY_NAMES, *own], totals, _score_columns
    if config.size_limits:
        buckets = bucket_names(config.size_limits)
        names = [f"{score}.size {name}" for score in ("IoU", "recall") for name in buckets]
        yield names, np.stack([image.size for image in images]), _size_columns
    if config.boundary_tolerances:
        names = [f"{score}@{t:g}" for score in ("bIoU", "bF") for t in config.boundary_tolerances]
        yield names, np.stack([image.boundary for image in images]), _boundary_columns


def _intervals(
    images: Sequence[ImageCounts], classes: Sequence[str], config: EvalConfig
) -> dict[str, list[float]]:
    """Resample the images for every score; one that is never defined gets no interval."""
    named: dict[str, Array] = {}
    for names, counts, statistic in counted_scores(images, classes, config):
        ends = bootstrap_interval(counts, statistic, resamples=config.bootstrap)
        named.update(zip(names, ends, strict=True))
    named |= davis_intervals(images, config)
    return {name: ends.tolist() for name, ends in named.items() if not np.isnan(ends).any()}


def _score_columns(totals: Array) -> Array:
    return _columns(scores_of_totals(totals), SUMMARY_NAMES)


def _table_columns(tables: Array) -> Array:
    return _columns(multilabel_scores(tables), MULTILABEL_NAMES)


def _columns(result: Scores, names: Sequence[str]) -> Array:
    summary = np.stack([getattr(result, name) for name in names], axis=-1)
    return np.concatenate([summary, result.IoU], axis=-1)


def _size_columns(counts: Array) -> Array:
    result = size_scores(counts)
    return np.concatenate([result.mean_iou, result.recall], axis=-1)


def _boundary_columns(counts: Array) -> Array:
    result = boundary_scores(counts)
    return np.concatenate([result.mean_iou, result.mean_f], axis=-1)


def _image_row(image: ImageCounts, classes: Sequence[str]) -> dict[str, Any]:
    result = image_scores(image)
    return {
        "id": image.id,
        "mIoU": _value(result.mIoU),
        "aAcc": _value(result.aAcc),
        **{f"IoU.{name}": _value(result.IoU[k]) for k, name in enumerate(classes)},
    }


def _part_rows(part: dict[str, Any] | None, key: str, name: str) -> list[dict[str, Any]]:
    """Flatten the size or the boundary part: a row for all classes, then one per class."""
    rows = []
    for group in part[key] if part else ():
        shared = {k: v for k, v in group.items() if k not in ("per_class", "name")}
        shared[name] = group["name"] if name == "bucket" else group[name]
        rows.append({**shared, "class": "all"})
        own = {k: v for k, v in shared.items() if k in (name, "pixels")}
        for entry in group["per_class"]:
            rest = {k: v for k, v in entry.items() if k != "name"}
            rows.append({**own, "class": entry["name"], **rest})
    return rows
