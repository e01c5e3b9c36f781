"""A cell on a Ray node: it is done in a folder of that node, and its files are told to the driver.

SCRATCH/<comparison>/<cell>/<cell>      its run directory, with the state to go on from
SCRATCH/<comparison>/<cell>/<cell>.log  what it printed
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segloom.comparison.cells.cell import attempts_file, forget_failure, log_file, outcome
from segloom.comparison.cells.plan import Cell
from segloom.errors import ConfigError
from segloom.run_directory import RunDirectory

__all__ = ["NodePlace", "Report", "do_cell", "place_cell"]


@dataclass(frozen=True)
class NodePlace:
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


def _own_scratch() -> Path:
    """Return this user's folder below the node's temporary folder, closed to everybody else.

    Its name can be known beforehand, so what is already there is looked at.

    Raises:
        ConfigError: It is a link, or another user made it or could write to it.
    """
    path = Path(tempfile.gettempdir()) / f"segloom-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_own or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"{path} on {os.uname().nodename} is not a folder of this user alone; remove it, or "
            "name another folder with --scratch."
        )
    path.chmod(0o700)
    return path


def place_cell(cell: Cell, place: NodePlace) -> Cell:
    """Move a cell into the scratch folder of this node.

    Raises:
        ConfigError: The default folder is not this user's alone.
    """
    path = (place.scratch or _own_scratch()) / place.comparison / cell.id / cell.id
    train = cell.config.train.model_copy(update={"out": path})
    return replace(cell, config=cell.config.model_copy(update={"train": train}))


def do_cell(cell: Cell, place: NodePlace) -> Report:
    """The task: do a cell on this node, from the state that an earlier attempt left here.

    Whatever goes wrong is the outcome; only a signal ends it without one.
    """
    import ray

    if place.hides_gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if place.directory.is_dir():
        os.chdir(place.directory)
    node = ray.get_runtime_context().get_node_id()
    try:
        here = place_cell(cell, place)
    except (ConfigError, OSError) as error:
        return Report({"state": "failed", "cause": str(error)}, node, place.directory, ())
    try:
        here.path.parent.mkdir(parents=True, exist_ok=True)
        forget_failure(here)
        # `python -m` runs that module too, and warns if its package has imported it.
        from segloom.comparison.engines.worker import work

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
    return Report(found, node, here.path.parent, _files(here, found))


def _files(cell: Cell, found: dict[str, object]) -> tuple[tuple[str, int], ...]:
    """List the log and, of a cell that is done, its run directory without the trainer's state."""
    paths = [log_file(cell), attempts_file(cell)]
    if found["state"] == "done":
        state = RunDirectory(cell.path).trainer_state
        unsent = {state.stem, RunDirectory(cell.path).lock.stem}
        paths += sorted(path for path in cell.path.rglob("*") if path.stem not in unsent)
    root = cell.path.parent
    return tuple(
        (path.relative_to(root).as_posix(), path.stat().st_size) for path in paths if path.is_file()
    )
