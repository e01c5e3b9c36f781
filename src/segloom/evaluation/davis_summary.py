"""The part of metrics.json on the boundary F of DAVIS, a mean over images.

Axes: N images, D tolerances, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.image_counts import ImageCounts
from segloom.metrics.davis_boundary import DAVIS_DEFINITION, davis_boundary_f
from segloom.metrics.statistics import bootstrap_interval

__all__ = ["DAVIS_COLUMNS", "davis_intervals", "davis_rows", "summarize_davis"]

SCORES = ("F", "precision", "recall")
DAVIS_COLUMNS = tuple(f"davis {name}" for name in SCORES)
"""Of boundary.csv, beside the scores that are not of DAVIS."""


def summarize_davis(
    images: Sequence[ImageCounts], classes: Sequence[str], config: EvalConfig
) -> dict[str, Any] | None:
    """Average F, precision and recall over the images; None if they were not measured."""
    if not config.davis_tolerances:
        return None
    by_class = _scores(images).mean(axis=0)  # (D, K, 3)
    pixels = np.median([image.davis_distances for image in images], axis=0)
    return {
        "definition": DAVIS_DEFINITION,
        "tolerances": [
            {
                "tolerance": tolerance,
                "pixels": int(pixels[d]),
                **_named(by_class[d].mean(axis=0)),
                "per_class": [
                    {"name": name, **_named(by_class[d, k])} for k, name in enumerate(classes)
                ],
            }
            for d, tolerance in enumerate(config.davis_tolerances)
        ],
    }


def davis_intervals(images: Sequence[ImageCounts], config: EvalConfig) -> dict[str, NDArray[Any]]:
    """Resample the images for the mean F of every tolerance: ``davisF@0.00375`` to its ends."""
    if not config.davis_tolerances:
        return {}
    f = _scores(images)[..., 0].mean(axis=-1)  # (N, D)
    ends = bootstrap_interval(f, lambda sums: sums / len(f), resamples=config.bootstrap)
    names = [f"davisF@{tolerance:g}" for tolerance in config.davis_tolerances]
    return dict(zip(names, ends, strict=True))


def davis_rows(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """List rows of boundary.csv: for all classes, then one per class."""
    return [
        {
            "tolerance": group["tolerance"],
            "pixels": group["pixels"],
            "class": name,
            **{column: entry[key] for column, key in zip(DAVIS_COLUMNS, SCORES, strict=True)},
        }
        for group in (part["tolerances"] if part else ())
        for name, entry in (
            ("all", group),
            *((entry["name"], entry) for entry in group["per_class"]),
        )
    ]


def _scores(images: Sequence[ImageCounts]) -> NDArray[np.float64]:
    """Score every image by itself: ``(N, D, K, 3)``."""
    return davis_boundary_f(np.stack([image.davis for image in images]))


def _named(values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(SCORES, map(float, values), strict=True))
