"""One of several training processes.

    python -m segloom.training.distributed.worker RUN REPORT [progress]

Started by `segloom.training.distributed.processes`; an error of ours goes into the file REPORT for
the process that waits, everything else keeps its traceback.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from segloom.config.load import read_config
from segloom.errors import SegloomError
from segloom.files import write_text
from segloom.run_directory import RunDirectory
from segloom.training.distributed.processes import STOPPED

__all__ = ["main"]


def main(words: list[str]) -> int:
    """Train this process's share of the run; return its exit code."""
    from segloom.training.fit import TrainingStopped, fit

    run, report = RunDirectory(Path(words[0])), Path(words[1])
    try:
        fit(read_config(run.config), run, show_progress="progress" in words[2:])
    except TrainingStopped:
        return STOPPED
    except SegloomError as error:
        write_text(report, json.dumps({"kind": type(error).__name__, "message": str(error)}))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
