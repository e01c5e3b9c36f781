"""What the values of label files mean, in the options of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from segloom.data_check.finding import Finding

__all__ = ["MANY_CLASSES", "LabelOptions", "Meaning", "listed", "many_classes"]

MANY_CLASSES = 40
"""More values than this are classes only if the user says so; Pascal Context's 59 have names."""


class LabelOptions(TypedDict, total=False):
    """Options of `DataConfig` that say how label maps are read."""

    mask_format: str
    classes: list[str]
    palette: list[list[int]]
    label_map: dict[str, int]
    ignore_values: list[int]


@dataclass
class Meaning:
    """What the stored values mean."""

    storage: str
    """In words: class ids, colours, ..."""
    options: LabelOptions = field(default_factory=LabelOptions)
    findings: list[Finding] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    """Stored value to class name, for the table."""


def many_classes(what: str, kind: str) -> Finding:
    """Doubt that so many values are classes."""
    message = (
        f"{what} would become as many classes. If they are classes, name them with --classes; if "
        f"every object has a {kind} of its own, export the class of each pixel instead."
    )
    return Finding("problem", "many-classes", message)


def listed(items: Sequence[object], most: int = 12) -> str:
    """Write the first items as a list, and how many more there are."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown + (f" and {len(items) - most} more" if len(items) > most else "")
