"""One trial of a search, in a process of its own.

    python -m segloom.comparison.search.trial FILE

FILE is the trial's configuration, beside its run directory. Like a cell it is claimed by a lock: a
trial that a killed search left running saves its state first, then this process goes on with it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from segloom.comparison.cells.cell import (
    DISK_FULL,
    STOPPED,
    claim,
    is_disk_full,
    run_cell,
    train_cell,
)
from segloom.comparison.cells.plan import Cell, Group
from segloom.comparison.engines.worker import end_with
from segloom.config.load import read_config
from segloom.config.run import RunConfig

__all__ = ["main", "trial_cell"]


def trial_cell(config: RunConfig) -> Cell:
    """Return the cell of a trial; its folder is ``train.out``."""
    name = (config.train.out or Path()).name
    group = Group(config.data.name, config.model.architecture, config.model.encoder_name)
    return Cell(name, group, name, config.train.seed, config)


def main(words: Sequence[str]) -> int:
    """Train the trial of the configuration file that the first word names; return the exit code."""
    end_with(os.getppid())
    cell = trial_cell(read_config(Path(words[0])))
    try:
        while True:
            with claim(cell) as is_mine:
                if is_mine:
                    run_cell(cell, work=train_cell, show_progress=True)
                    return 0
            time.sleep(0.5)
    except KeyboardInterrupt:
        return STOPPED
    except Exception as error:  # libraries have many words for a full disk
        if is_disk_full(error, cell.path):
            return DISK_FULL
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
