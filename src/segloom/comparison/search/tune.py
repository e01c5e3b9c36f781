"""A search of options: trials drawn by Optuna, each trained in a process of its own.

The driver reads the validation mIoU of every trial epoch by epoch, tells it to Optuna, and stops
the process of a trial that is pruned. The test images are never looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segloom.comparison.cells.cell import DISK_FULL, STOPPED, is_disk_full, log_file, outcome
from segloom.comparison.cells.plan import Cell
from segloom.comparison.engines.local import (
    MAX_ATTEMPTS,
    POLL_SECONDS,
    ComparisonStopped,
    disk_is_full,
    how_it_ended,
    stop_requests,
)
from segloom.comparison.search.study import (
    ask,
    import_optuna,
    open_folder,
    open_study,
    sampler,
    working_alone,
)
from segloom.comparison.search.trial import trial_cell
from segloom.comparison.search.trials import Tuning, read_trials, write_results
from segloom.config.load import dump_config
from segloom.config.tuning import Axis, TuningPlan, read_axes, with_values
from segloom.errors import ConfigError
from segloom.files import parse_json, write_text
from segloom.run_directory import RunDirectory
from segloom.training.from_data import choose_options

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

__all__ = ["tune"]

PATIENCE = 120.0
"""Seconds that a process has to save its state after it was told to stop."""


def tune(
    plan: TuningPlan,
    folder: Path,
    *,
    workers: int = 1,
    on_change: Callable[[Tuning], None] = lambda tuning: None,
) -> Tuning:
    """Search options for the best mIoU on the validation images.

    A search that was stopped goes on when it is called again: trials that came to an end stay, one
    that was interrupted goes on from its saved state, and with one worker the trials after it are
    those of a search that was never stopped.

    Args:
        plan: What is searched, on which recipe, and how often.
        folder: Where everything is written, see `segloom.comparison.search.study`.
        workers: Trials at once, each with its share of the cores.
        on_change: Called now and then, with what is known so far.

    Raises:
        ConfigError: Optuna is not installed, the search cannot be read, or the folder holds
            another one.
        TrainingError: The disk is full.
        ComparisonStopped: SIGINT or SIGTERM stopped it; what was begun is saved.
    """
    import_optuna()
    if workers < 1:
        raise ConfigError(f"workers is {workers}; at least one trial runs at a time.")
    plan = plan.model_copy(update={"recipe": choose_options(plan.recipe)})
    axes = read_axes(plan.search, plan.recipe)
    if folder.is_file():
        raise ConfigError(f"{folder} is a file; choose another folder with --out.")
    with working_alone(folder):
        open_folder(plan, folder)
        search = _Search(plan, axes, folder, open_study(plan, folder), workers)
        try:
            search.run(on_change)
            write_results(search.results())
        except Exception as error:  # libraries have many words for a full disk
            if is_disk_full(error, folder):
                raise disk_is_full(folder) from error
            raise
        return search.results()


@dataclass
class _Run:
    """A trial whose process runs."""

    trial: Trial
    cell: Cell
    process: subprocess.Popen[bytes]
    attempts: int = 1
    told: set[int] = field(default_factory=set)
    """Epochs that Optuna knows of."""
    stopped_at: float | None = None
    """When it was told to stop, since it is pruned."""


class _Search:
    """The trials that wait, those that run, and the study."""

    def __init__(
        self, plan: TuningPlan, axes: Sequence[Axis], folder: Path, study: Study, workers: int
    ) -> None:
        self.plan, self.axes, self.folder = plan, axes, folder
        self.study, self.workers = study, workers
        self.states = import_optuna().trial.TrialState
        self.runs: list[_Run] = []

    def run(self, on_change: Callable[[Tuning], None]) -> None:
        """Train until the number of trials is reached."""
        interrupted = self.study.get_trials(deepcopy=False, states=(self.states.RUNNING,))
        waiting = [frozen.number for frozen in interrupted]
        self.results()
        with stop_requests() as received:
            try:
                while not received:
                    for run in list(self.runs):
                        self._follow(run)
                    while len(self.runs) < self.workers and self._begin(waiting):
                        on_change(self.results())
                    on_change(self.results())
                    if not self.runs:
                        return
                    time.sleep(POLL_SECONDS)
                raise ComparisonStopped
            finally:
                for run in self.runs:
                    run.process.terminate()
                for run in self.runs:
                    run.process.wait()

    def results(self) -> Tuning:
        """Read the study."""
        return read_trials(self.plan, self.axes, self.folder, self.study)

    def _begin(self, waiting: list[int]) -> bool:
        """Begin or go on with one trial; say whether there was one."""
        trials = self.study.get_trials(deepcopy=False)
        number = waiting.pop(0) if waiting else len(trials)
        self.study.sampler = sampler(self.plan, number)
        told: set[int] = set()
        if number < len(trials):
            trial = import_optuna().trial.Trial(self.study, trials[number]._trial_id)
            told = set(trials[number].intermediate_values)
        elif number >= self.plan.trials:
            return False
        else:
            trial = self.study.ask()
        values = {axis.option: ask(trial, axis) for axis in self.axes}
        path = self.folder / "cells" / f"trial-{number:04d}"
        try:
            config = with_values(self.plan.recipe, values, "the options of this trial")
        except ConfigError as error:
            self._fail(trial, str(error))
            return True
        own = {"out": path, "resume": False, "overwrite": False}
        config = config.model_copy(update={"train": config.train.model_copy(update=own)})
        cell = trial_cell(config)
        write_text(path.with_suffix(".yaml"), dump_config(config))
        self.runs.append(_Run(trial, cell, start_trial(cell, self.workers), told=told))
        return True

    def _follow(self, run: _Run) -> None:
        """Tell Optuna of new epochs; stop what it prunes, and note what came to an end."""
        has_ended = run.process.poll() is not None  # before the rows are read: then all are there
        for row in _rows(run.cell):
            epoch, score = row["epoch"], row["val/mIoU"]
            if epoch in run.told or score is None:
                continue
            run.told.add(epoch)
            run.trial.report(score, epoch)
            if self.plan.prune and not has_ended and run.stopped_at is None:
                self._prune(run)
        if has_ended:
            self._end(run)
        elif run.stopped_at is not None and time.monotonic() - run.stopped_at > PATIENCE:
            run.process.kill()

    def _prune(self, run: _Run) -> None:
        if run.trial.should_prune():
            run.stopped_at = time.monotonic()
            run.process.terminate()

    def _end(self, run: _Run) -> None:
        code, found = run.process.returncode, outcome(run.cell)
        if found is None and run.stopped_at is None:
            if code == DISK_FULL:
                raise disk_is_full(run.cell.path.parent)
            if run.attempts < MAX_ATTEMPTS or code == STOPPED:
                run.attempts += 1
                run.process = start_trial(run.cell, self.workers)
                return
        self.runs.remove(run)
        rows = _rows(run.cell)
        run.trial.set_user_attr("epochs", len(rows))
        run.trial.set_user_attr("seconds", round(sum(row["seconds"] for row in rows), 3))
        if found and found["state"] == "failed":
            self._fail(run.trial, found["cause"])
        elif found and found["validation_miou"] is None:
            self._fail(run.trial, "no class of the validation images can be scored")
        elif found:
            self.study.tell(run.trial, found["validation_miou"])
        elif run.stopped_at is not None:
            self.study.tell(run.trial, state=self.states.PRUNED)
        else:
            cause = f"{how_it_ended(code)}, {run.attempts} times; see {log_file(run.cell)}"
            self._fail(run.trial, cause)
        write_results(self.results())

    def _fail(self, trial: Trial, cause: str) -> None:
        trial.set_user_attr("cause", cause)
        self.study.tell(trial, state=self.states.FAIL)


def start_trial(cell: Cell, workers: int) -> subprocess.Popen[bytes]:
    """Start the process of a trial; what it prints goes to its log."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    with log_file(cell).open("ab") as log:
        # A session of its own: Ctrl-C reaches it through this process alone, once.
        return subprocess.Popen(
            [sys.executable, "-m", "segloom.comparison.search.trial", f"{cell.path}.yaml"],
            stdout=log,
            stderr=log,
            env={"OMP_NUM_THREADS": threads, **os.environ},
            start_new_session=True,
        )


def _rows(cell: Cell) -> list[dict[str, Any]]:
    """Read the epochs of a trial so far; the file is replaced as a whole."""
    history = RunDirectory(cell.path).history.with_suffix(".jsonl")
    try:
        lines = history.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [parse_json(line) for line in lines]
