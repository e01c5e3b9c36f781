"""The cells of a plan with their budget: how many steps it buys, and what they will take.

``DIR/probe.json`` keeps the probes, so that every cell of a kind gets the same number of steps,
also when a stopped comparison goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from math import ceil
from pathlib import Path

from segloom.comparison.cells.plan import Cell, make_cells
from segloom.comparison.cells.probe import Probe, probe
from segloom.comparison.cells.rounds import open_cells, round_seeds
from segloom.config.comparison import ComparisonPlan
from segloom.config.data import DataConfig
from segloom.config.run import RunConfig
from segloom.errors import SegloomError
from segloom.files import parse_json, write_json

__all__ = ["budgeted_cells", "kind", "probe_cells"]

FILE = "probe.json"


def kind(cell: Cell) -> str:
    """Name what cells have in common that differ only in the seed."""
    return f"{cell.group}: {cell.variant}"


def probe_cells(cells: Sequence[Cell], folder: Path) -> dict[str, Probe | str]:
    """Probe each kind of cell once; a kind that cannot be tried out gives the reason instead."""
    found = _read(folder)
    for cell in cells:
        if kind(cell) in found:
            continue
        try:
            found[kind(cell)] = probe(cell.config)
        except SegloomError as error:
            found[kind(cell)] = str(error)
        values = {n: v if isinstance(v, str) else asdict(v) for n, v in found.items()}
        write_json(folder / FILE, values)
    return found


def budgeted_cells(plan: ComparisonPlan, folder: Path) -> list[Cell]:
    """List the cells of a plan, see `make_cells`, each trained as long as the budget says.

    A budget of minutes needs the probes that `probe_cells` keeps; a kind of cell without one trains
    a single epoch, since it fails at its start anyway.
    """
    cells = make_cells(round_seeds(plan, folder), folder)
    cells = open_cells(cells, folder, plan.baseline)
    if plan.steps is None and plan.minutes is None:
        return cells
    probes = _read(folder) if plan.minutes else {}
    return [_with_budget(cell, plan, probes.get(kind(cell))) for cell in cells]


def _with_budget(cell: Cell, plan: ComparisonPlan, tried: Probe | str | None) -> Cell:
    if plan.steps is not None:
        steps, per_epoch = plan.steps, _steps_per_epoch(cell.config)
    elif isinstance(tried, Probe):
        seconds = 60 * (plan.minutes or 0) - tried.num_validation * tried.validation_seconds
        steps, per_epoch = max(1, int(seconds / tried.step_seconds)), tried.steps_per_epoch
    else:
        steps, per_epoch = 1, 1
    epochs = ceil(steps / per_epoch)
    train = cell.config.train.model_copy(
        update={"epochs": epochs, "steps_per_epoch": max(1, round(steps / epochs))}
    )
    return replace(cell, config=cell.config.model_copy(update={"train": train}))


@cache
def _number_of_images(data: str) -> int:
    from segloom.data import build_dataset

    return len(build_dataset(DataConfig.model_validate_json(data), "train"))


def _steps_per_epoch(config: RunConfig) -> int:
    from segloom.training.batches import plan_batches

    return plan_batches(config, _number_of_images(config.data.model_dump_json())).num_steps


def _read(folder: Path) -> dict[str, Probe | str]:
    try:
        kept = parse_json((folder / FILE).read_text(encoding="utf-8"))
        return {
            name: value if isinstance(value, str) else Probe(**value)
            for name, value in kept.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
