"""How far a comparison is, read from its folder while others work on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segloom.comparison.cells.cell import is_claimed, outcome
from segloom.comparison.cells.plan import Cell
from segloom.files import parse_json
from segloom.run_directory import RunDirectory

__all__ = ["CellStatus", "read_status"]


@dataclass(frozen=True)
class CellStatus:
    """Where one cell is."""

    cell: Cell
    state: str
    """waiting, stopped (begun, and no process works on it), running, done or failed."""
    epochs: int
    """Epochs that are trained."""
    seconds: float
    """Time that these took."""
    miou: float | None = None
    """On the test split, 0 to 1; None unless it is done."""
    cause: str = ""
    """Why it failed."""

    @property
    def remaining_seconds(self) -> float | None:
        """Expected time until its training is done; None before the first epoch."""
        if self.state in ("done", "failed"):
            return 0.0
        if not self.epochs:
            return None
        return (self.cell.config.train.epochs - self.epochs) * self.seconds / self.epochs


def read_status(cells: Sequence[Cell]) -> list[CellStatus]:
    """Look at every cell."""
    return [_look(cell) for cell in cells]


def _look(cell: Cell) -> CellStatus:
    seconds: list[float] = []
    history = RunDirectory(cell.path).history.with_suffix(".jsonl")
    if history.is_file():
        for line in history.read_text(encoding="utf-8").splitlines():
            try:
                seconds.append(float(parse_json(line)["seconds"]))
            except (ValueError, TypeError, KeyError):  # being written just now, or damaged
                continue
    found = outcome(cell)
    if found and found["state"] == "done":
        return CellStatus(
            cell, "done", len(seconds), sum(seconds), miou=found.get("scores", {}).get("mIoU")
        )
    if found:
        return CellStatus(cell, "failed", len(seconds), sum(seconds), cause=found["cause"])
    if is_claimed(cell):
        return CellStatus(cell, "running", len(seconds), sum(seconds))
    return CellStatus(cell, "stopped" if seconds else "waiting", len(seconds), sum(seconds))
