"""Which enhancement plugs into which architecture: every pair is built, none is assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from segloom.enhancements import enhancement_class, list_enhancements
from segloom.errors import ConfigError
from segloom.models.architectures import list_architectures
from segloom.models.build import create_model

__all__ = ["Cell", "fit_matrix", "markdown_table"]

ENCODERS = {"dpt": "tu-test_vit"}
"""For architectures that take no ResNet."""


class Cell(NamedTuple):
    """One architecture with one enhancement."""

    architecture: str
    enhancement: str
    """As the command line names it, with the options that distinguish it."""
    refusal: str
    """Why they do not fit and what would; empty where they do."""


def fit_matrix(progress: Callable[[int, int], None] | None = None) -> list[Cell]:
    """Build every architecture with every variant of every enhancement, on a ResNet-18.

    Args:
        progress: Called after each cell with the number done and the number of all.
    """
    variants = [
        ":".join(filter(None, [name, ",".join(f"{key}={value}" for key, value in options.items())]))
        for name in list_enhancements()
        for options in enhancement_class(name).variants
    ]
    pairs = [(a, enhancement) for a in list_architectures() for enhancement in variants]
    cells = []
    for number, (architecture, enhancement) in enumerate(pairs, 1):
        cells.append(Cell(architecture, enhancement, _refusal(architecture, enhancement)))
        if progress:
            progress(number, len(pairs))
    return cells


def markdown_table(cells: list[Cell]) -> str:
    """Lay cells out as Markdown: architectures down, enhancements across, refusals below."""
    columns = list(dict.fromkeys(cell.enhancement for cell in cells))
    refusals = list(dict.fromkeys(cell.refusal for cell in cells if cell.refusal))
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for architecture in dict.fromkeys(cell.architecture for cell in cells):
        row = {c.enhancement: c.refusal for c in cells if c.architecture == architecture}
        marks = [f"no ({refusals.index(row[c]) + 1})" if row[c] else "yes" for c in columns]
        lines.append(f"| {architecture} | {' | '.join(marks)} |")
    return "\n".join([*lines, "", *(f"{n}. {text}" for n, text in enumerate(refusals, 1))])


def _refusal(architecture: str, enhancement: str) -> str:
    try:
        create_model(
            architecture,
            encoder_name=ENCODERS.get(architecture, "resnet18"),
            classes=2,
            enhancements=enhancement,
        )
    except ConfigError as error:
        return str(error)
    return ""
