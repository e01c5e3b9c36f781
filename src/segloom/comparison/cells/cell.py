"""One cell: train, test, measure its cost, and write down what came of it.

A cell is claimed by a lock that the system releases when its process ends, however it ends; so it
is done exactly once, and a cell whose process was killed is free again and goes on from its last
state.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from segloom.comparison.cells.cost import PeakMemory, measure_cost
from segloom.comparison.cells.plan import Cell
from segloom.errors import SegloomError
from segloom.files import parse_json, write_json
from segloom.run_directory import RunDirectory

if TYPE_CHECKING:
    from segloom.config.run import RunConfig

__all__ = [
    "claim",
    "forget_failure",
    "is_claimed",
    "is_disk_full",
    "outcome",
    "record_failure",
    "run_cell",
    "train_cell",
]

OUTCOME = "cell.json"
NO_SPACE = 2**16
"""Bytes below which a disk is full."""
STOPPED = 130
"""Exit code of a worker after a signal that left everything saved."""
DISK_FULL = 74
"""Exit code of a worker that could not write (EX_IOERR)."""


class Work(Protocol):
    """What is done in a cell; returns its outcome."""

    def __call__(self, config: RunConfig, *, show_progress: bool = False) -> dict[str, Any]:
        """Do it."""


def log_file(cell: Cell) -> Path:
    """Where everything that a worker prints during a cell goes."""
    return cell.path.with_name(f"{cell.id}.log")


def attempts_file(cell: Cell) -> Path:
    """One line per attempt: the process and its start."""
    return cell.path.with_name(f".{cell.id}.attempts")


def _lock_file(cell: Cell) -> Path:
    return cell.path.with_name(f".{cell.id}.lock")


def outcome(cell: Cell) -> dict[str, Any] | None:
    """Read what came of a cell: ``state`` done or failed, its cost or its cause; None if open.

    A cell whose file is damaged is open: it is done again.
    """
    try:
        values = parse_json((cell.path / OUTCOME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if _is_outcome(values) else None


def _is_outcome(values: object) -> bool:
    if not isinstance(values, dict):
        return False
    if values.get("state") == "failed":
        return isinstance(values.get("cause"), str)
    scores = values.get("scores", {"mIoU": None})  # a search only validates
    is_scored = isinstance(scores, dict) and "mIoU" in scores
    return values.get("state") == "done" and "validation_miou" in values and is_scored


@contextlib.contextmanager
def claim(cell: Cell) -> Iterator[bool]:
    """Hold the lock of a cell; gives False if another process holds it."""
    path = _lock_file(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_claimed(cell: Cell) -> bool:
    """Return whether some process works on the cell; nothing is written where none ever did."""
    if not _lock_file(cell).exists():
        return False
    with claim(cell) as is_free:
        return not is_free


def forget_failure(cell: Cell) -> None:
    """Let a failed cell be tried again."""
    found = outcome(cell)
    if found and found["state"] == "failed":
        (cell.path / OUTCOME).unlink(missing_ok=True)


def record_failure(cell: Cell, cause: str) -> None:
    """Write down why a cell failed."""
    write_json(cell.path / OUTCOME, {"state": "failed", "cause": cause})


def run_cell(
    cell: Cell, *, work: Work | None = None, show_progress: bool = False
) -> dict[str, Any]:
    """Do the work of one cell, from where an earlier attempt stopped, and return its outcome.

    Whatever goes wrong becomes a cause of one sentence; the traceback of what is no error of ours
    goes to standard error.

    Args:
        cell: What to do.
        work: How; None trains and tests.
        show_progress: Show the progress of the training.

    Raises:
        KeyboardInterrupt: A signal stopped it; its state is saved.
        Exception: Whatever a full disk leads to, see `is_disk_full`.
    """
    found = outcome(cell)
    if found:
        return found
    try:
        result = (work or _train_and_test)(cell.config, show_progress=show_progress)
    except Exception as error:  # one failed cell shall not end the comparison
        if is_disk_full(error, cell.path):
            raise  # every other cell would fail of it too
        cause = _cause(error)
        if not isinstance(error, SegloomError):
            traceback.print_exc()
        record_failure(cell, cause)
        return {"state": "failed", "cause": cause}
    write_json(cell.path / OUTCOME, result)
    return result


def train_cell(config: RunConfig, *, show_progress: bool = False) -> dict[str, Any]:
    """Train from where an earlier attempt stopped; the test images are not looked at."""
    from segloom.training import train

    run = RunDirectory(config.train.out or Path())
    has_state = run.trainer_state.is_file()
    update = {"resume": has_state, "overwrite": not has_state}
    config = config.model_copy(update={"train": config.train.model_copy(update=update)})
    memory = PeakMemory()
    trained = train(config, show_progress=show_progress)
    return {
        "state": "done",
        "validation_miou": trained.miou,
        "epochs": trained.epochs,
        "train_seconds": trained.seconds,
        # After a resumption it is the peak of the last part.
        "train_memory_gib": memory.gibibytes(),
    }


def _train_and_test(config: RunConfig, *, show_progress: bool = False) -> dict[str, Any]:
    from segloom.evaluation import evaluate

    trained = train_cell(config, show_progress=show_progress)
    run = config.train.out or Path()
    start = time.monotonic()
    evaluation = evaluate(run, config.eval)
    return {
        **trained,
        "scores": evaluation.scores,
        "test_seconds": round(time.monotonic() - start, 3),
        **measure_cost(run, config),
    }


def is_disk_full(error: BaseException, path: Path) -> bool:
    """Return whether an error comes from a full disk; libraries have many words for that."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if "No space left" in str(error):
        return True
    folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
    return not isinstance(error, SegloomError) and shutil.disk_usage(folder).free < NO_SPACE


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, SegloomError):
        return text
    is_memory = isinstance(error, MemoryError) or any(
        sign in text for sign in ("not enough memory", "can't allocate memory", "out of memory")
    )
    if is_memory:
        return (
            "out of memory; lower data.batch_size or data.crop, raise train.accumulate, or let "
            "fewer workers run at once."
        )
    return f"{type(error).__name__}: {text[:300]}"
