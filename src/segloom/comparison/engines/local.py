"""Doing the cells on this machine: in this process, or in several that divide them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segloom.comparison.cells.cell import (
    DISK_FULL,
    STOPPED,
    attempts_file,
    claim,
    forget_failure,
    log_file,
    outcome,
    record_failure,
    run_cell,
)
from segloom.comparison.cells.plan import Cell
from segloom.errors import TrainingError
from segloom.files import parse_json

__all__ = [
    "MAX_ATTEMPTS",
    "POLL_SECONDS",
    "ComparisonStopped",
    "disk_is_full",
    "how_it_ended",
    "run_here",
    "run_workers",
    "stop_requests",
]

MAX_ATTEMPTS = 3
"""How often a cell is begun whose process ends without a word."""
POLL_SECONDS = 0.5


class ComparisonStopped(KeyboardInterrupt):
    """A signal stopped the workers; what they had begun is saved."""


def run_here(
    cells: Sequence[Cell], *, on_change: Callable[[], None], show_progress: bool = False
) -> None:
    """Do the cells one after the other in this process.

    Args:
        cells: What to do; failed ones are tried again.
        on_change: Called after each cell.
        show_progress: Show the progress of every training.

    Raises:
        KeyboardInterrupt: A signal stopped a training; its state is saved.
    """
    for cell in cells:
        forget_failure(cell)
    for cell in cells:
        with claim(cell) as is_mine:
            if is_mine and not outcome(cell):
                run_cell(cell, show_progress=show_progress)
        on_change()


def run_workers(
    folder: Path, cells: Sequence[Cell], workers: int, *, on_change: Callable[[], None]
) -> None:
    """Do the cells in several processes on this machine.

    A process that is killed is replaced, and its cell goes on from its last state; after
    `MAX_ATTEMPTS` the cell has failed, and the others go on.

    Args:
        folder: Of the comparison, with its plan.yaml.
        cells: What to do; failed ones are tried again.
        workers: How many processes.
        on_change: Called now and then, to show how far it is.

    Raises:
        ComparisonStopped: SIGINT or SIGTERM stopped it.
        TrainingError: The disk is full, or a worker cannot even start.
    """
    for cell in cells:
        forget_failure(cell)
        attempts_file(cell).unlink(missing_ok=True)
    running: list[subprocess.Popen[bytes]] = []
    with stop_requests() as received, _terminated(running):
        while not received:
            ended = [process for process in running if process.poll() is not None]
            for process in ended:
                running.remove(process)
                _explain(cells, process)
            unfinished = sum(outcome(cell) is None for cell in cells)
            if not unfinished and not running:
                return
            while len(running) < min(workers, unfinished):
                running.append(_start(folder, workers))
            on_change()
            time.sleep(POLL_SECONDS)
        raise ComparisonStopped


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, instead of being interrupted by them."""
    received: list[int] = []
    previous = {
        number: signal.signal(number, lambda number, frame: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _terminated(running: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Stop the processes that are running at the end, their state saved."""
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _start(folder: Path, workers: int) -> subprocess.Popen[bytes]:
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    # A session of its own: Ctrl-C reaches it through this process alone, once.
    return subprocess.Popen(
        [sys.executable, "-m", "segloom.comparison.engines.worker", str(folder)],
        env={"OMP_NUM_THREADS": threads, **os.environ},
        start_new_session=True,
    )


def _explain(cells: Sequence[Cell], process: subprocess.Popen[bytes]) -> None:
    """Give up the cell of a process that ended without a word, if that was its last attempt."""
    code = process.returncode
    if code in (0, STOPPED):
        return
    if code == DISK_FULL:
        raise disk_is_full(cells[0].path.parent)
    for cell in cells:
        attempts = _attempts(cell)
        if outcome(cell) or not attempts or attempts[-1] != process.pid:
            continue
        if len(attempts) >= MAX_ATTEMPTS:
            record_failure(
                cell,
                f"{how_it_ended(code)}, {len(attempts)} times; see {log_file(cell)}, or lower "
                "data.batch_size.",
            )
        return
    # It died before it began a cell: say so on the terminal, and do not begin for ever.
    if code > 0:
        raise TrainingError(f"a worker ended with code {code}; its own message is above.")


def disk_is_full(folder: Path) -> TrainingError:
    """Make the error of a full disk."""
    return TrainingError(
        f"no space left on the disk of {folder}; free some and give the same command again: what "
        "is done is kept, and the rest goes on."
    )


def how_it_ended(code: int) -> str:
    """Describe the end of a process that left no word."""
    if code >= 0:
        return f"its process ended with code {code}"
    hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
    return f"its process was killed by signal {-code} ({signal.Signals(-code).name}){hint}"


def _attempts(cell: Cell) -> list[int]:
    """Processes that began the cell, in their order."""
    try:
        lines = attempts_file(cell).read_text(encoding="utf-8").splitlines()
        return [parse_json(line)["process"] for line in lines]
    except (OSError, ValueError, TypeError, KeyError):
        return []
