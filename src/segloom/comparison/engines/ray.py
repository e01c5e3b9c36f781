"""Doing the cells on a Ray cluster: every open cell is one task, and its files come back.

The nodes need this package and the data, but no common file system. This process, the driver, holds
the locks of the cells that it handed to Ray.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from segloom.comparison.cells.cell import claim, forget_failure, outcome, record_failure
from segloom.comparison.cells.plan import Cell
from segloom.comparison.engines.local import (
    MAX_ATTEMPTS,
    POLL_SECONDS,
    ComparisonStopped,
    stop_requests,
)
from segloom.comparison.engines.ray_node import NodePlace, Report, do_cell
from segloom.config.engine import EngineOptions
from segloom.config.load import dump_config, read_config
from segloom.errors import ConfigError
from segloom.files import write_text
from segloom.ray_cluster import connection, last_line
from segloom.run_directory import RunDirectory

__all__ = ["run_on_ray"]

IDENTITY = ".ray-comparison"
"""File with the name of the comparison on the nodes: a new folder never meets old scratch files."""
CHUNK = 32 * 2**20
"""Bytes that are fetched at once, whatever the size of a file."""
SAVE_SECONDS = 60
"""Time that cancelled tasks have to save their state."""


def run_on_ray(
    folder: Path, cells: Sequence[Cell], options: EngineOptions, *, on_change: Callable[[], None]
) -> None:
    """Do the cells as tasks of a Ray cluster.

    A task whose process is killed is begun again by Ray, `MAX_ATTEMPTS` times in all; on the same
    node it goes on from its last state. A finished cell is written to its place in one step.

    Args:
        folder: Of the comparison.
        cells: What to do; failed ones are tried again.
        options: The cluster, and what a cell asks of it.
        on_change: Called now and then, to show how far it is.

    Raises:
        ComparisonStopped: SIGINT or SIGTERM stopped it; tasks are cancelled.
        ConfigError: Ray is not installed, the cluster does not answer, or no node is large enough.
        TrainingError: The connection to the cluster was lost.
    """
    for cell in cells:
        forget_failure(cell)
    if all(map(outcome, cells)):
        return
    with connection(options.address) as ray, ExitStack() as stack:
        tasks = _Tasks(ray, folder, options)
        received = stack.enter_context(stop_requests())
        stack.callback(tasks.end)
        while not received:
            unfinished = [cell for cell in cells if not outcome(cell)]
            if not unfinished:
                return
            for cell in unfinished:
                tasks.begin(cell)
            tasks.collect()
            on_change()
        raise ComparisonStopped


class _Tasks:
    """The cells that Ray has, each with its lock."""

    def __init__(self, ray: ModuleType, folder: Path, options: EngineOptions) -> None:
        self._ray = ray
        resources = _resources(ray, options)
        self._place = NodePlace(_identity(folder), options.scratch, Path.cwd(), not resources[1])
        num_cpus, num_gpus, memory = resources
        self._task = ray.remote(
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            memory=memory or None,
            max_retries=MAX_ATTEMPTS - 1,  # of a process that was lost; errors are outcomes
            max_calls=1,  # a process each, so that nothing of one cell stays for the next
        )(do_cell)
        self._cells: dict[object, Cell] = {}
        self._locks: dict[str, ExitStack] = {}
        self._lost: dict[str, int] = {}

    def begin(self, cell: Cell) -> None:
        """Hand a cell to Ray, unless it is there already or another process has it."""
        if cell.id in self._locks:
            return
        with ExitStack() as lock:
            if lock.enter_context(claim(cell)) and not outcome(cell):
                self._cells[self._task.remote(cell, self._place)] = cell
                self._locks[cell.id] = lock.pop_all()

    def collect(self) -> None:
        """Wait a moment for a task, and bring home what it did."""
        if not self._cells:
            time.sleep(POLL_SECONDS)
            return
        ended, _ = self._ray.wait(list(self._cells), num_returns=1, timeout=POLL_SECONDS)
        for task in ended:
            cell = self._cells.pop(task)
            self._receive(cell, task)
            self._locks.pop(cell.id).close()

    def _receive(self, cell: Cell, task: object) -> None:
        errors = self._ray.exceptions
        try:
            report: Report = self._ray.get(task)
        except errors.RayTaskError as error:  # the node cannot even read the task
            record_failure(cell, f"a Ray node cannot do it: {last_line(error)}")
            return
        except errors.RayError as error:
            record_failure(
                cell,
                f"its process was lost {MAX_ATTEMPTS} times ({type(error).__name__}), as when "
                "memory runs out; lower data.batch_size, or ask for more with --memory.",
            )
            return
        try:
            self._fetch(cell, report)
        except errors.RayError as error:
            # The node is gone, and what it trained with it.
            self._lost[cell.id] = self._lost.get(cell.id, 0) + 1
            if self._lost[cell.id] == MAX_ATTEMPTS:
                record_failure(
                    cell, f"its files cannot be fetched from their node: {last_line(error)}"
                )

    def _fetch(self, cell: Cell, report: Report) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        on_node = {
            "num_cpus": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(report.node, soft=False),
        }
        read, remove = (self._ray.remote(**on_node)(task) for task in _file_tasks())
        incoming = cell.path.with_name(f".{cell.id}.incoming")
        shutil.rmtree(incoming, ignore_errors=True)
        for name, size in report.files:
            path = incoming / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for start in range(0, size, CHUNK):
                    file.write(self._ray.get(read.remote(str(report.root / name), start, CHUNK)))
        for path in [path for path in incoming.iterdir() if path.is_file()]:
            path.replace(cell.path.with_name(path.name))  # the log and the list of attempts
        if report.outcome["state"] == "failed":
            record_failure(cell, report.outcome["cause"])
        else:
            arrived = RunDirectory(incoming / cell.id)
            config = read_config(arrived.config)
            train = config.train.model_copy(update={"out": cell.path})
            write_text(arrived.config, dump_config(config.model_copy(update={"train": train})))
            shutil.rmtree(cell.path, ignore_errors=True)
            arrived.path.replace(cell.path)
            self._ray.get(remove.remote(str(report.root)))
        shutil.rmtree(incoming, ignore_errors=True)

    def end(self) -> None:
        """Cancel what is not done, wait until its state is saved, and free the cells."""
        for task in self._cells:
            self._ray.cancel(task)
        if self._cells:
            self._ray.wait(list(self._cells), num_returns=len(self._cells), timeout=SAVE_SECONDS)
        for lock in self._locks.values():
            lock.close()


def _file_tasks() -> tuple[Callable[[str, int, int], bytes], Callable[[str], None]]:
    """Make the tasks that read and remove files: they travel whole and import nothing heavy."""

    def read(path: str, start: int, size: int) -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123 - no import in a task
            file.seek(start)
            return file.read(size)

    def remove(root: str) -> None:
        shutil.rmtree(root, ignore_errors=True)
        with contextlib.suppress(OSError):  # other cells of the comparison are beside it
            Path(root).parent.rmdir()

    return read, remove


def _identity(folder: Path) -> str:
    path = folder / IDENTITY
    if not path.is_file():
        write_text(path, uuid.uuid4().hex)
    return path.read_text(encoding="utf-8").strip()


def _resources(ray: ModuleType, options: EngineOptions) -> tuple[int, float, int]:
    """Find what a cell asks for: cores, GPUs, bytes of memory.

    Raises:
        ConfigError: No node of the cluster has as much.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    has_gpus = any(node.get("GPU", 0) for node in nodes)
    cpus = options.cpus or 1
    gpus = float(has_gpus) if options.gpus is None else options.gpus
    memory = int((options.memory or 0) * 2**30)
    asked = {"CPU": cpus, "GPU": gpus, "memory": memory}
    if not any(all(node.get(name, 0) >= asked[name] for name in asked) for node in nodes):
        raise ConfigError(
            f"no node of the Ray cluster has {cpus} cores, {gpus:g} GPUs and "
            f"{options.memory or 0:g} GiB of memory for a cell; lower --cpus, --gpus or --memory."
        )
    return cpus, gpus, memory
