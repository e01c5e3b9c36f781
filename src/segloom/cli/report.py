"""``segloom report RUN``: the training curves of a run as a picture, and its reports anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from segloom.cli.options import parse
from segloom.errors import DataError
from segloom.report import write_curves, write_report
from segloom.run_directory import RunDirectory

__all__ = ["ReportOptions", "run"]


@dataclass
class ReportOptions:
    """Draw RUN/curves.png, and write the report of every split that was measured anew.

    Nothing is measured: `segloom eval` does that, and writes the report too.
    """

    run: Positional[Path]
    """Folder that `segloom train` wrote."""


def run(words: Sequence[str]) -> int:
    """Write the files and print their paths."""
    options = parse(ReportOptions, words, verb="report")

    if not options.run.is_dir():
        raise DataError(
            f"there is no folder {options.run}; give the one that `segloom train` wrote."
        )
    splits = RunDirectory(options.run).evaluated_splits
    # A model that was measured but not trained here has no history; that is no reason to complain.
    if not splits or RunDirectory(options.run).history.is_file():
        print(f"curves: {write_curves(options.run)}")
    for split in splits:
        print(f"report: {write_report(options.run, split)}")
    return 0
