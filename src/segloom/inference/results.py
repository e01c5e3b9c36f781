"""What becomes of a predicted file, and the names of its results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["ENDINGS", "PredictedFile", "is_up_to_date", "shares_of"]

ENDINGS = {
    "label": "_label.png",
    "palette": "_palette.png",
    "overlay": "_overlay.png",
    "errors": "_errors.png",
    "montage": "_montage.png",
    "probabilities": "_probabilities.npz",
}
"""What is written after the image's name, by the name of the option."""


@dataclass(frozen=True)
class PredictedFile:
    """What became of one image."""

    image: Path
    size: tuple[int, int] | None = None
    """Height and width in pixels; None if the image was not read."""
    written: dict[str, Path] = field(default_factory=dict)
    """Result files by kind (`ENDINGS`)."""
    shares: dict[str, float] = field(default_factory=dict)
    """Share of the pixels by class, 0 to 1, of the classes that are there."""
    accuracy: float | None = None
    """Share of the labelled pixels of the truth that are right; None without truth."""
    void: float | None = None
    """Share of the truth that is void; None without truth."""
    skipped: bool = False
    """True if every result was there already and none was made."""
    error: str | None = None
    """Why there is no result, in one sentence; None if all went well."""


def is_up_to_date(results: Iterable[Path], *sources: Path) -> bool:
    """Tell whether results are there and not older than what they were made from."""
    try:
        made = max(path.stat().st_mtime for path in sources)
        return all(path.stat().st_mtime >= made for path in results)
    except OSError:
        return False


def shares_of(counts: NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
    """Give the share, 0 to 1, of every class that has any of the pixels counted."""
    total = float(counts.sum())
    return {
        name: round(float(count) / total, 6)
        for name, count in zip(classes, counts, strict=True)
        if count
    }
