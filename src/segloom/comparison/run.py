"""A whole comparison: cells -> measured runs -> statistics -> tables and page."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segloom.comparison.cells.budget import budgeted_cells, probe_cells
from segloom.comparison.cells.cell import outcome
from segloom.comparison.cells.looks import count_looks, plan_hash
from segloom.comparison.cells.plan import Cell, make_cells, open_plan, settle_recipes
from segloom.comparison.cells.rounds import (
    Decided,
    Look,
    plan_looks,
    read_decided,
    round_seeds,
    settle,
)
from segloom.comparison.cells.status import read_status
from segloom.comparison.engines.local import run_here, run_workers
from segloom.comparison.engines.ray import run_on_ray
from segloom.comparison.engines.slurm import run_jobs
from segloom.comparison.statistics.analysis import FailedCell, Spread, analyse
from segloom.comparison.statistics.changes import draw_changes
from segloom.comparison.statistics.looks import keep_verdicts, newly_decided
from segloom.comparison.statistics.paired import LEVEL
from segloom.comparison.statistics.protocol import describe_conditions
from segloom.comparison.statistics.results import (
    Measured,
    read_counted,
    resample,
)
from segloom.comparison.statistics.tables import difference_rows, markdown, write_comparison_tables
from segloom.config.comparison import ComparisonPlan
from segloom.config.engine import Engine, EngineOptions, check_engine
from segloom.report.comparison import write_comparison
from segloom.report.comparison_result import ComparisonResult

__all__ = ["Comparison", "compare", "summarise", "summarise_folder", "write_result"]

PICTURES = 3
"""Images per comparison of two kinds: the most improved, and as many of the most worsened."""


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`."""

    folder: Path
    """Where the tables and the page are."""
    result: ComparisonResult
    """What was found."""
    files: dict[str, Path]
    """What was written, by name."""

    @property
    def table(self) -> list[dict[str, object]]:
        """One plain row per comparison and score, for notebooks: ``pandas.DataFrame(table)``."""
        return list(difference_rows(self.result))

    def _repr_markdown_(self) -> str:
        """Show the tables in a notebook."""
        return markdown(self.result)

    @property
    def values(self) -> dict[str, object]:
        """The content of comparison.json, as plain JSON values."""
        return self.result.as_json()


def compare(
    plan: ComparisonPlan,
    folder: Path,
    *,
    engine: Engine = "local",
    workers: int | None = None,
    options: EngineOptions | None = None,
    pictures: int = PICTURES,
    spread: Spread = "moderated",
    on_change: Callable[[Sequence[Cell]], None] = lambda cells: None,
) -> Comparison:
    """Train and test every cell of a plan, then compare them.

    A comparison that was stopped goes on when it is called again; what is done is not done again,
    and cells that failed are tried once more.

    Args:
        plan: What is compared, with its recipes.
        folder: Where everything is written.
        engine: ``local``: in processes of their own on this machine; ``inline``: in this one;
            ``ray``: on a Ray cluster; ``slurm``: as Slurm jobs, which see the folder.
        workers: How many cells at once; None is 1 for ``local``, 256 for ``slurm``.
        options: Of ``ray`` and ``slurm``.
        pictures: How many of the most improved and of the most worsened images the page shows for
            every comparison; 0 shows none.
        spread: ``moderated``: the spread between seeds is estimated from all comparisons together;
            ``plain``: from the seeds of each alone.
        on_change: Called now and then, to show how far it is.

    Raises:
        ConfigError: The plan cannot be carried out, the folder holds another one, or there is no
            such cluster.
        KeyboardInterrupt: A signal stopped it; what was begun is saved.
    """
    options = options or EngineOptions()
    check_engine(engine, options, workers)
    plan = settle_recipes(plan)
    open_plan(plan, folder)
    if plan.minutes is not None:
        probe_cells(make_cells(plan, folder), folder)
    work = _Work(folder, engine, workers, options, on_change)
    if plan.until_decided:
        return _until_decided(plan, folder, work, pictures=pictures, spread=spread)
    work(budgeted_cells(plan, folder))
    return summarise_folder(plan, folder, pictures=pictures, spread=spread)


@dataclass(frozen=True)
class _Work:
    """Does cells where the user wants them done."""

    folder: Path
    engine: Engine
    workers: int | None
    options: EngineOptions
    on_change: Callable[[Sequence[Cell]], None]

    def __call__(self, cells: Sequence[Cell]) -> None:
        def show() -> None:
            self.on_change(cells)

        if self.engine == "inline":
            run_here(cells, on_change=show)
        elif self.engine == "ray":
            run_on_ray(self.folder, cells, self.options, on_change=show)
        elif self.engine == "slurm":
            run_jobs(self.folder, cells, self.options, self.workers, on_change=show)
        else:
            run_workers(self.folder, cells, self.workers or 1, on_change=show)


def _until_decided(
    plan: ComparisonPlan, folder: Path, work: _Work, *, pictures: int, spread: Spread
) -> Comparison:
    """Go from look to look, each with a seed more for what is undecided."""
    for look in plan_looks(plan, LEVEL):
        decided = _decided_before(folder, look)
        settle(folder, look.seeds, decided)
        work(budgeted_cells(plan, folder))
        found = summarise_folder(plan, folder, pictures=pictures, spread=spread)
        decided += newly_decided(found.result, look, decided)
        settle(folder, look.seeds, decided)
        if len(decided) == sum(len(group.pairs) for group in found.result.groups):
            break
    return found


def _decided_before(folder: Path, look: Look) -> list[Decided]:
    return [item for item in read_decided(folder) if item.look < look.number]


def summarise_folder(
    plan: ComparisonPlan, folder: Path, *, pictures: int = PICTURES, spread: Spread = "moderated"
) -> Comparison:
    """Compare what is done in the folder of a plan, at its present look; see `summarise`."""
    cells = budgeted_cells(plan, folder)
    if not plan.until_decided:
        return summarise(plan, cells, folder, pictures=pictures, spread=spread)
    num_seeds = len(round_seeds(plan, folder).seeds)
    look = next(item for item in plan_looks(plan, LEVEL) if len(item.seeds) == num_seeds)
    return summarise(
        plan,
        cells,
        folder,
        pictures=pictures,
        spread=spread,
        level=look.level,
        decided=_decided_before(folder, look),
    )


def summarise(
    plan: ComparisonPlan,
    cells: Sequence[Cell],
    folder: Path,
    *,
    pictures: int = PICTURES,
    spread: Spread = "moderated",
    level: float = LEVEL,
    decided: Sequence[Decided] = (),
) -> Comparison:
    """Compare the cells that are done; the others have their state in the tables.

    Args:
        plan: What is compared.
        cells: Its cells.
        folder: Where everything is written.
        pictures: As for `compare`.
        spread: As for `compare`.
        level: Part of the level that this look at the scores has.
        decided: Comparisons that have their verdict from an earlier look.
    """
    counted, missing = [], []
    for status in read_status(cells):
        cell = status.cell
        if status.state != "done":
            missing.append(
                FailedCell(cell.id, cell.group, cell.variant, cell.seed, status.state, status.cause)
            )
            continue
        facts = outcome(cell) or {}
        counted.append(
            read_counted(
                cell.path,
                cell.group,
                cell.variant,
                cell.seed,
                facts=facts,
                split=cell.config.eval.split,
                data=cell.config.data,
            )
        )
    measured = resample(counted, baseline=plan.baseline)
    configs = {cell.group.recipe: cell.config for cell in cells}
    conditions = describe_conditions(configs, measured, plan.seeds)
    conditions["tuning"] = plan.tuning
    conditions["plan"] = plan_hash(plan)
    conditions["looks"] = count_looks(folder, plan, len(counted))
    result = analyse(
        measured,
        baseline=plan.baseline,
        missing=missing,
        conditions=conditions,
        smallest_gain=plan.smallest_gain / 100,
        spread=spread,
        level=level,
    )
    keep_verdicts(result, decided)
    return write_result(folder, result, measured, pictures)


def write_result(
    folder: Path, result: ComparisonResult, measured: Sequence[Measured], pictures: int
) -> Comparison:
    """Write the tables and the page into a folder, with pictures of so many images per pair."""
    for run in (run for group in result.groups for row in group.rows for run in row.runs):
        if Path(run.path).is_relative_to(folder):  # so that the folder can be moved
            run.path = Path(run.path).relative_to(folder).as_posix()
    with tempfile.TemporaryDirectory() as drawings:
        changes = None
        if pictures:
            changes = draw_changes(
                Path(drawings), measured, baseline=result.baseline, number=pictures
            )
        page = write_comparison(folder, result, changes)
    return Comparison(folder, result, {**write_comparison_tables(folder, result), page.name: page})
