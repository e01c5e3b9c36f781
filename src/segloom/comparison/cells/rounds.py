"""Adding seeds round by round until a plan's comparisons are decided, at the level promised.

The looks are declared before the first cell: one with the plan's seeds, then one per further seed.
Each look has a part of the level by the spending function of Lan and DeMets (Biometrika 70, 1983)
that is like Pocock's, ``level ln(1 + (e - 1) t)`` with t the share of the seeds. The parts are used
as those of a Bonferroni bound, which holds for any test.

DIR/rounds.json   the seeds of the present round, and the comparisons that are decided
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segloom.comparison.cells.plan import Cell
from segloom.config.comparison import ComparisonPlan
from segloom.errors import DataError
from segloom.files import write_json

__all__ = ["Decided", "Look", "open_cells", "plan_looks", "read_decided", "round_seeds", "settle"]

FILE = "rounds.json"


@dataclass(frozen=True)
class Look:
    """One look at the scores."""

    number: int
    """From 1."""
    seeds: tuple[int, ...]
    level: float
    """Its part of the level of the family."""


@dataclass(frozen=True)
class Decided:
    """A comparison with a verdict, which gets no more seeds."""

    group: tuple[str, str, str]
    """Recipe, architecture, encoder."""
    variant: str
    verdict: str
    seeds: tuple[int, ...]
    look: int


def plan_looks(plan: ComparisonPlan, level: float) -> list[Look]:
    """List the looks of a plan; they depend on nothing that is measured."""
    first, most = len(plan.seeds), plan.max_seeds
    beyond = range(max(plan.seeds) + 1, max(plan.seeds) + 1 + most - first)
    seeds = (*plan.seeds, *beyond)
    looks, spent = [], 0.0
    for number, count in enumerate(range(first, most + 1), 1):
        total = level * math.log1p((math.e - 1) * count / most)
        looks.append(Look(number, seeds[:count], total - spent))
        spent = total
    return looks


def round_seeds(plan: ComparisonPlan, folder: Path) -> ComparisonPlan:
    """Return the plan with the seeds of the present round."""
    values = _read(folder)
    return plan.model_copy(update={"seeds": tuple(values["seeds"])}) if values else plan


def read_decided(folder: Path) -> list[Decided]:
    """Read what is decided.

    Raises:
        DataError: ``rounds.json`` is damaged.
    """
    values = _read(folder)
    return [
        Decided(
            (item["group"][0], item["group"][1], item["group"][2]),
            item["variant"],
            item["verdict"],
            tuple(item["seeds"]),
            item["look"],
        )
        for item in (values or {}).get("decided", ())
    ]


def settle(folder: Path, seeds: Sequence[int], decided: Sequence[Decided]) -> None:
    """Write down the seeds of a round and what is decided."""
    values = {"seeds": list(seeds), "decided": [asdict(item) for item in decided]}
    write_json(folder / FILE, values)


def open_cells(cells: Sequence[Cell], folder: Path, baseline: str) -> list[Cell]:
    """Leave out the cells that decided comparisons do not need any more.

    Those of a baseline are needed as long as one comparison with it is open.
    """
    kept = {(item.group, item.variant): set(item.seeds) for item in read_decided(folder)}
    if not kept:
        return list(cells)
    groups: dict[tuple[str, str, str], set[str]] = {}
    for cell in cells:
        if cell.variant != baseline:
            groups.setdefault(_key(cell), set()).add(cell.variant)
    for group, variants in groups.items():
        seeds = [kept[group, name] for name in variants if (group, name) in kept]
        if len(seeds) == len(variants):
            kept[group, baseline] = set().union(*seeds)
    return [
        cell
        for cell in cells
        if (key := (_key(cell), cell.variant)) not in kept or cell.seed in kept[key]
    ]


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.group.recipe, cell.group.architecture, cell.group.encoder


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values["seeds"], values["decided"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged; remove it, and the rounds are gone through again from what is "
            "trained."
        ) from error
    return values
