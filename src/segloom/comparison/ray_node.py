"""A cell on a Ray node: it is done in a folder of that node, and its files are told to the driver.

SCRATCH/<comparison>/<cell>/<cell>      its run directory, with the state to go on from
SCRATCH/<comparison>/<cell>/<cell>.log  what it printed
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segloom.comparison.cells import attempts_file, forget_failure, log_file, outcome
from segloom.comparison.plan import Cell
from segloom.run_directory import RunDirectory

__all__ = ["Place", "Report", "do_cell", "place_cell"]


@dataclass(frozen=True)
class Place:
    """Where the nodes do the cells of one comparison."""

    comparison: str
    """Its name, which no other one has."""
    scratch: Path | None
    """None is in the node's temporary folder."""
    directory: Path
    """Working directory of the driver; relative paths of the plan start there."""
    hides_gpus: bool
    """The cells asked for no GPU, so they shall see none."""


@dataclass(frozen=True)
class Report:
    """What came of a cell, and what the driver has to fetch."""

    outcome: dict[str, Any]
    """As in cell.json."""
    node: str
    """Ray's name of the node."""
    root: Path
    """Folder of the files on it."""
    files: tuple[tuple[str, int], ...]
    """Path below the root, and bytes."""


def place_cell(cell: Cell, place: Place) -> Cell:
    """Move a cell into the scratch folder of this node."""
    default = Path(tempfile.gettempdir()) / f"segloom-{os.getuid()}"
    path = (place.scratch or default) / place.comparison / cell.id / cell.id
    train = cell.config.train.model_copy(update={"out": path})
    return replace(cell, config=cell.config.model_copy(update={"train": train}))


def do_cell(cell: Cell, place: Place) -> Report:
    """The task: do a cell on this node, from the state that an earlier attempt left here.

    Whatever goes wrong is the outcome; only a signal ends it without one.
    """
    import ray

    if place.hides_gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if place.directory.is_dir():
        os.chdir(place.directory)
    here = place_cell(cell, place)
    try:
        here.path.parent.mkdir(parents=True, exist_ok=True)
        forget_failure(here)
        # `python -m` runs that module too, and warns if its package has imported it.
        from segloom.comparison.worker import work

        work([here])  # waits while an earlier attempt, just cancelled, saves its state
        found = outcome(here)
        assert found  # noqa: S101 - for the type checker; work ends no sooner
    except Exception as error:  # a full disk, or a scratch folder that cannot be written
        text = " ".join(str(error).split()) or type(error).__name__
        cause = (
            f"{text[:300]} (in {here.path} on {os.uname().nodename}); make room there, or name "
            "another folder with --scratch."
        )
        found = {"state": "failed", "cause": cause}
    node = ray.get_runtime_context().get_node_id()
    return Report(found, node, here.path.parent, _files(here, found))


def _files(cell: Cell, found: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    """List the log and, of a cell that is done, its run directory without the trainer's state."""
    paths = [log_file(cell), attempts_file(cell)]
    if found["state"] == "done":
        state = RunDirectory(cell.path).trainer_state
        paths += sorted(path for path in cell.path.rglob("*") if path.stem != state.stem)
    root = cell.path.parent
    return tuple(
        (path.relative_to(root).as_posix(), path.stat().st_size) for path in paths if path.is_file()
    )
