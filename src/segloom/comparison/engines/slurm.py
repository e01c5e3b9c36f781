"""Doing the cells as Slurm jobs, through submitit; the nodes see the comparison's folder.

DIR/slurm/     what submitit keeps of its jobs
DIR/cells/     as everywhere: locks divide the work, states let a job go on
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from segloom.comparison.cells.budget import budgeted_cells
from segloom.comparison.cells.cell import forget_failure, log_file, outcome, record_failure
from segloom.comparison.cells.plan import Cell, read_plan
from segloom.comparison.engines.local import MAX_ATTEMPTS, ComparisonStopped, stop_requests
from segloom.config.engine import EngineOptions
from segloom.errors import ConfigError

if TYPE_CHECKING:
    import submitit

__all__ = ["CellJob", "run_jobs"]

POLL_SECONDS = 2.0
END_SECONDS = 10.0
"""Time that jobs have to end whose cells are done or that were cancelled."""
HOURS = 24.0
MAX_TIMEOUTS = 1000
"""How often a job may be queued again; every time it trains on, so it need not be few."""


class CellJob:
    """A job that does one cell of a folder; submitit queues it again by its ``checkpoint``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str) -> None:
        """Do the cell, from where an earlier job stopped."""
        cell = next(c for c in budgeted_cells(read_plan(self.folder), self.folder) if c.id == name)
        _do(cell)

    def checkpoint(self, name: str) -> object:
        """Return what to run when the job is queued again: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, name)


def _do(cell: Cell) -> None:
    """Do a cell; before the time is up, let a training save its state, then be queued again."""
    from submitit import JobEnvironment

    number = JobEnvironment._usr_sig()
    queue_again, ignore = signal.getsignal(number), signal.getsignal(signal.SIGTERM)
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        # Only a training listens to SIGTERM; in any other part there is nothing to save.
        if signal.getsignal(signal.SIGTERM) == ignore and callable(queue_again):
            queue_again(number, frame)
        received.append(number)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(number, stop)
    try:
        # `python -m` runs that module too, and warns if its package has imported it.
        from segloom.comparison.engines.worker import work

        work([cell])
    except KeyboardInterrupt:
        if not received or not callable(queue_again):
            raise
        queue_again(number, None)
    finally:
        signal.signal(number, queue_again)


def run_jobs(
    folder: Path,
    cells: Sequence[Cell],
    options: EngineOptions,
    workers: int | None,
    *,
    on_change: Callable[[], None],
) -> None:
    """Do the cells as a job array.

    A job that ends without a word is submitted again, and its cell goes on from its last state;
    after `MAX_ATTEMPTS` the cell has failed.

    Args:
        folder: Of the comparison, with its plan.yaml, on a file system that all nodes see.
        cells: What to do; failed ones are tried again.
        options: What a job asks for.
        workers: How many jobs at once; None is submitit's 256.
        on_change: Called now and then, to show how far it is.

    Raises:
        ComparisonStopped: SIGINT or SIGTERM stopped it; its jobs are cancelled.
        ConfigError: submitit or Slurm is not there, or Slurm refuses the job.
    """
    for cell in cells:
        forget_failure(cell)
    if all(map(outcome, cells)):
        return
    executor = _executor(folder, options, workers)
    jobs: dict[str, submitit.Job[None]] = {}
    attempts = dict.fromkeys((cell.id for cell in cells), 0)
    with stop_requests() as received:
        try:
            while not received:
                unfinished = [cell for cell in cells if not outcome(cell)]
                if not unfinished:
                    return
                ended = [c for c in unfinished if c.id not in jobs or jobs[c.id].done()]
                lost = [cell for cell in ended if not outcome(cell)]
                for cell in [cell for cell in lost if attempts[cell.id] == MAX_ATTEMPTS]:
                    _give_up(cell, jobs[cell.id])
                    lost.remove(cell)
                names = [cell.id for cell in lost]
                jobs |= zip(names, _submit(executor, folder, names), strict=True)
                for name in names:
                    attempts[name] += 1
                on_change()
                time.sleep(POLL_SECONDS)
            raise ComparisonStopped
        finally:
            _end(list(jobs.values()), cancel=not all(map(outcome, cells)))


def _executor(folder: Path, options: EngineOptions, workers: int | None) -> submitit.AutoExecutor:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            "--engine slurm needs submitit, which is not installed; install it with "
            "`pip install 'segloom[slurm]'`."
        ) from error
    try:
        executor = submitit.AutoExecutor(
            folder / "slurm",
            cluster=options.cluster or "slurm",
            slurm_max_num_timeout=MAX_TIMEOUTS,
            local_max_num_timeout=MAX_TIMEOUTS,
        )
    except RuntimeError as error:
        raise ConfigError(
            "there is no Slurm on this machine (srun is not found); start the comparison where "
            "jobs are submitted, or try it with --cluster local."
        ) from error
    executor.update_parameters(
        name="segloom",
        timeout_min=math.ceil(60 * (options.hours or HOURS)),
        cpus_per_task=options.cpus or 1,
        gpus_per_node=int(options.gpus or 0) or None,
        tasks_per_node=1,
        mem_gb=options.memory,
        slurm_partition=options.partition,
        slurm_array_parallelism=workers,
    )
    return executor


def _submit(
    executor: submitit.AutoExecutor, folder: Path, names: Sequence[str]
) -> list[submitit.Job[None]]:
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    if not names:
        return []
    try:
        return list(executor.map_array(CellJob(folder), names))
    except (FailedJobError, FailedSubmissionError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(
            f"Slurm does not take the job: {text[-300:]}; check --partition, --hours, --cpus, "
            "--gpus and --memory."
        ) from error


def _end(jobs: Sequence[submitit.Job[None]], *, cancel: bool) -> None:
    for job in jobs:
        if cancel and not job.done():
            job.cancel(check=False)
    end = time.monotonic() + END_SECONDS
    while time.monotonic() < end and not all(job.done() for job in jobs):
        time.sleep(0.1)


def _give_up(cell: Cell, job: submitit.Job[None]) -> None:
    record_failure(
        cell,
        f"its job ended without a result, {MAX_ATTEMPTS} times (Slurm says {job.state}); see "
        f"{log_file(cell)} and {job.paths.stderr}, or ask for more with --memory or --hours.",
    )
