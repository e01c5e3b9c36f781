"""A process that does cells until none is left.

    python -m segloom.comparison.engines.worker DIR

Any number of them may work on one folder, on one machine or on several that share it; the locks of
the cells divide the work. Output of a cell goes to ``cells/<cell>.log``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segloom.comparison.cells.budget import budgeted_cells
from segloom.comparison.cells.cell import (
    DISK_FULL,
    STOPPED,
    attempts_file,
    claim,
    is_disk_full,
    log_file,
    outcome,
    run_cell,
)
from segloom.comparison.cells.plan import Cell, read_plan

__all__ = ["end_with", "main", "work"]


def work(cells: Sequence[Cell]) -> None:
    """Do every cell that is not done, and wait for those that other processes do.

    One of these may be killed; its cell is then free again.

    Raises:
        KeyboardInterrupt: A signal stopped a training; its state is saved.
    """
    while unfinished := [cell for cell in cells if not outcome(cell)]:
        for cell in unfinished:
            with claim(cell) as is_mine:
                if not is_mine or outcome(cell):
                    continue
                with attempts_file(cell).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"process": os.getpid(), "time": time.time()}) + "\n")
                with _logged(log_file(cell)):
                    run_cell(cell, show_progress=True)
        time.sleep(1)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send standard output and error to a file, those of libraries and of child processes too."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)


def end_with(parent: int) -> None:
    """Stop this process, its state saved, when the one that started it is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(words: Sequence[str]) -> int:
    """Work on the folder that the first word names; return the exit code."""
    folder = Path(words[0])
    if "--alone" not in words:
        end_with(os.getppid())
    try:
        work(budgeted_cells(read_plan(folder), folder))
    except KeyboardInterrupt:
        return STOPPED
    except Exception as error:  # libraries have many words for a full disk
        if is_disk_full(error, folder):
            return DISK_FULL
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
