"""A comparison without weights, images and places: to be published, or gone on with elsewhere.

Of every cell that is done the counts and what tables and page need are kept, some hundred
kilobytes; see `EVIDENCE`.
"""

from __future__ import annotations

from pathlib import Path

from segloom.comparison.cells.budget import budgeted_cells
from segloom.comparison.cells.cell import outcome
from segloom.comparison.cells.plan import Cell, open_plan, read_plan
from segloom.comparison.run import Comparison, summarise_folder
from segloom.comparison.statistics.analysis import Spread
from segloom.config.load import dump_config, read_config
from segloom.config.run import RunConfig
from segloom.errors import ConfigError, DataError
from segloom.files import write_bytes, write_json, write_text
from segloom.report.comparison_result import read_comparison
from segloom.run_directory import RunDirectory

__all__ = ["EVIDENCE", "publish"]

EVIDENCE = ("cell.json", "eval/{split}/metrics.json", "eval/{split}/counts.jsonl")
"""What a cell needs to count as done, and to be compared."""
COURSE = ("metrics.jsonl", "environment.json")
"""What the page says besides: how the training went, and on which machine."""
STATE = ("looks.jsonl", "rounds.json", "probe.json")
"""What a comparison keeps beside its plan."""
PLACE = Path("DIR")
"""Stands for the folder of the data."""


def publish(folder: Path, to: Path) -> Comparison:
    """Write a comparison into another folder without weights, images and places of this machine.

    Args:
        folder: A comparison, finished or not.
        to: Where it goes: a new folder, or one that holds this plan; cells that are done there
            stay, so that those of several machines come together.

    Returns:
        The comparison of what is done. `compare` goes on with it on another machine, with
        ``data.root`` named there, and trains the other cells alone.

    Raises:
        ConfigError: There is no plan, or ``to`` holds something else.
        DataError: A cell that is done lacks a file.
    """
    if folder.resolve() == to.resolve():
        raise ConfigError(f"{to} is the comparison itself; name another folder to publish it in.")
    plan = read_plan(folder)
    found = [(cell, outcome(cell)) for cell in budgeted_cells(plan, folder)]
    done = [cell for cell, values in found if values and values["state"] == "done"]
    _check_whole(done)
    recipes = {name: _without_places(recipe) for name, recipe in plan.recipes.items()}
    open_plan(plan.model_copy(update={"recipes": recipes}), to)
    for name in STATE:
        _copy(folder / name, to / name)
    for cell in done:
        _keep(cell, to / "cells" / cell.id)
    for cell, values in found:
        if values and values["state"] == "failed":
            _keep_failure(cell, values["cause"], folder, to / "cells" / cell.id)
    return summarise_folder(plan, to, pictures=0, spread=_spread(folder))


def _spread(folder: Path) -> Spread:
    """Take the spread of the tables that are there."""
    path = folder / "comparison.json"
    is_plain = path.is_file() and read_comparison(path).spread == "plain"
    return "plain" if is_plain else "moderated"


def _check_whole(cells: list[Cell]) -> None:
    for cell in cells:
        for name in _evidence(cell):
            if not (cell.path / name).is_file():
                raise DataError(
                    f"{cell.path / name} is missing; remove {cell.path / 'cell.json'}, and the "
                    "same `segloom compare` does the cell again."
                )


def _evidence(cell: Cell) -> list[str]:
    return [name.format(split=cell.config.eval.split) for name in EVIDENCE]


def _keep(cell: Cell, to: Path) -> None:
    """Write what is kept of a cell; its outcome last, since that says that it is done."""
    own = RunDirectory(cell.path).config
    if own.is_file():
        write_text(RunDirectory(to).config, dump_config(_without_places(read_config(own))))
    outcome_file, *counts = _evidence(cell)
    for name in (*COURSE, *counts, outcome_file):
        _copy(cell.path / name, to / name)


def _keep_failure(cell: Cell, cause: str, folder: Path, to: Path) -> None:
    """Write why a cell could not be done, unless another machine has done it."""
    root = cell.config.data.root
    for place in (folder.resolve(), folder, *([root.resolve(), root] if root else [])):
        cause = cause.replace(str(place), str(PLACE))
    if not (to / EVIDENCE[0]).is_file():
        write_json(to / EVIDENCE[0], {"state": "failed", "cause": cause})


def _copy(path: Path, to: Path) -> None:
    if path.is_file():
        write_bytes(to, path.read_bytes())


def _without_places(config: RunConfig) -> RunConfig:
    """Put a word in the place of this machine's folders; files of weights keep their name."""
    weights = config.model.encoder_weights
    return config.model_copy(
        update={
            "data": config.data.model_copy(
                update={"root": config.data.root and PLACE, "cache_dir": None}
            ),
            "model": config.model.model_copy(
                update={"encoder_weights": weights and Path(weights).name}
            ),
            "train": config.train.model_copy(update={"out": None}),
        }
    )
