"""A whole comparison: cells -> measured runs -> statistics -> tables and page."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segloom.comparison.analysis import FailedCell, analyse
from segloom.comparison.budget import budgeted_cells, probe_cells
from segloom.comparison.cells import outcome
from segloom.comparison.changes import draw_changes
from segloom.comparison.local import run_here, run_workers
from segloom.comparison.plan import Cell, Group, make_cells, open_plan
from segloom.comparison.protocol import describe_conditions, list_differences
from segloom.comparison.ray_engine import run_on_ray
from segloom.comparison.results import Measured, count_predictions, read_measured
from segloom.comparison.slurm import run_jobs
from segloom.comparison.status import read_status
from segloom.comparison.tables import write_tables
from segloom.config.comparison import NONE, ComparisonPlan
from segloom.config.data import DataConfig
from segloom.config.engine import Engine, EngineOptions, check_engine
from segloom.config.evaluation import EvalConfig
from segloom.config.load import read_config
from segloom.config.run import RunConfig
from segloom.errors import ConfigError
from segloom.report.comparison import write_comparison
from segloom.run_directory import RunDirectory

__all__ = ["Comparison", "compare", "compare_runs", "summarise"]

PICTURES = 3
"""Images per comparison of two kinds: the most improved, and as many of the most worsened."""


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`."""

    folder: Path
    """Where the tables and the page are."""
    values: dict[str, Any]
    """The content of comparison.json."""
    files: dict[str, Path]
    """What was written, by name."""


def compare(
    plan: ComparisonPlan,
    folder: Path,
    *,
    engine: Engine = "local",
    workers: int | None = None,
    options: EngineOptions | None = None,
    pictures: int = PICTURES,
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
        on_change: Called now and then, to show how far it is.

    Raises:
        ConfigError: The plan cannot be carried out, the folder holds another one, or there is no
            such cluster.
        KeyboardInterrupt: A signal stopped it; what was begun is saved.
    """
    options = options or EngineOptions()
    check_engine(engine, options, workers)
    open_plan(plan, folder)
    if plan.minutes is not None:
        probe_cells(make_cells(plan, folder), folder)
    cells = budgeted_cells(plan, folder)

    def show() -> None:
        on_change(cells)

    if engine == "inline":
        run_here(cells, on_change=show)
    elif engine == "ray":
        run_on_ray(folder, cells, options, on_change=show)
    elif engine == "slurm":
        run_jobs(folder, cells, options, workers, on_change=show)
    else:
        run_workers(folder, cells, workers or 1, on_change=show)
    return summarise(plan, cells, folder, pictures=pictures)


def summarise(
    plan: ComparisonPlan, cells: Sequence[Cell], folder: Path, *, pictures: int = PICTURES
) -> Comparison:
    """Compare the cells that are done; the others have their state in the tables."""
    measured, missing = [], []
    for status in read_status(cells):
        cell = status.cell
        if status.state != "done":
            missing.append(
                FailedCell(cell.id, cell.group, cell.variant, cell.seed, status.state, status.cause)
            )
            continue
        facts = outcome(cell) or {}
        split = cell.config.eval.split
        measured.append(
            read_measured(cell.path, cell.group, cell.variant, cell.seed, facts=facts, split=split)
        )
    configs = {cell.group.recipe: cell.config for cell in cells}
    values = analyse(
        measured,
        baseline=plan.baseline,
        missing=missing,
        conditions=describe_conditions(configs, measured, plan.seeds),
    )
    return _write(folder, values, measured, pictures)


def compare_runs(
    runs: Sequence[str],
    folder: Path,
    *,
    baseline: str | None = None,
    data: DataConfig | None = None,
    config: EvalConfig | None = None,
    pictures: int = PICTURES,
) -> Comparison:
    """Compare finished runs: of ours, or of any program as one label PNG per image.

    Args:
        runs: Each a folder, or ``NAME=FOLDER``. Runs of one name are the seeds of one kind. Without
            names, runs of ours are grouped by data, architecture and encoder.
        folder: Where the tables and the page go.
        baseline: Kind that the others are compared with; None is "none", or the first.
        data: Truth of the label PNGs; for runs of ours only where it lies now.
        config: What is measured on them.
        pictures: As for `compare`.

    Raises:
        ConfigError: Label PNGs without data, or a baseline that is not there.
        DataError: A run was not measured, or a label map cannot be used.
    """
    if (folder / "plan.yaml").is_file():
        raise ConfigError(
            f"{folder} holds a comparison of its own cells, whose tables this would replace; "
            "choose another folder with --out."
        )
    named = [_split_name(text) for text in runs]
    has_foreign = any(not RunDirectory(path).config.is_file() for _, path in named)
    is_named = has_foreign or any(name for name, _ in named)
    measured: list[Measured] = []
    configs: dict[str, RunConfig] = {}
    for name, path in named:
        has_config = RunDirectory(path).config.is_file()
        own = read_config(RunDirectory(path).config) if has_config else None
        group, variant, seed = _place(own, data)
        if is_named:
            group = Group(group.recipe, "networks", "as named")
            variant = name or (variant if own else path.name)
            seed = sum(run.variant == variant for run in measured)
        if own is not None:
            split = config.split if config else "test"
            facts = outcome_of(path)
            run = read_measured(path, group, variant, seed, facts=facts, split=split)
            measured.append(run if data is None else replace(run, data=_moved(own, data)))
            configs[str(path)] = own
        elif data is None:
            raise ConfigError(
                f"{path} is no run of segloom; for label PNGs name the truth, for example "
                "--data.name camvid --data.root DIR."
            )
        else:
            measured.append(
                count_predictions(path, data, config or EvalConfig(), group, variant, seed)
            )
    _check_distinct(measured)
    kinds = list(dict.fromkeys(run.variant for run in measured))
    chosen = baseline or (NONE if NONE in kinds else kinds[0])
    if chosen not in kinds:
        raise ConfigError(f"there is no run of the kind {chosen}; there are {', '.join(kinds)}.")
    seeds = sorted({run.seed for run in measured})
    protocols: dict[str, RunConfig] = {}
    for run in measured:
        if str(run.path) in configs:
            protocols.setdefault(run.group.recipe, configs[str(run.path)])
    conditions = describe_conditions(protocols, measured, seeds)
    conditions["differences"] = list_differences(configs, measured)
    values = analyse(measured, baseline=chosen, conditions=conditions)
    return _write(folder, values, measured, pictures)


def _check_distinct(measured: Sequence[Measured]) -> None:
    """Refuse two runs in one place of the table."""
    places: dict[tuple[Group, str, int], Measured] = {}
    for run in measured:
        other = places.setdefault((run.group, run.variant, run.seed), run)
        if other is not run:
            raise ConfigError(
                f"{other.path} and {run.path} are both {run.variant} with seed {run.seed}; name "
                "the kinds, for example before=RUN after=RUN."
            )


def _write(
    folder: Path, values: dict[str, Any], measured: Sequence[Measured], pictures: int
) -> Comparison:
    """Write the tables and the page."""
    with tempfile.TemporaryDirectory() as drawings:
        changes = None
        if pictures:
            changes = draw_changes(
                Path(drawings), measured, baseline=values["baseline"], number=pictures
            )
        page = write_comparison(folder, values, changes)
    return Comparison(folder, values, {**write_tables(folder, values), page.name: page})


def outcome_of(run: Path) -> dict[str, Any]:
    """Read the cost of a run that was a cell; empty for others."""
    try:
        values: dict[str, Any] = json.loads((run / "cell.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values


def _split_name(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or Path(text).exists():
        return "", Path(text)
    return name, Path(path)


def _moved(config: RunConfig, data: DataConfig) -> DataConfig:
    """Give a run's own data at the place where it lies now."""
    return config.data.model_copy(update={"root": data.root or config.data.root})


def _place(config: RunConfig | None, data: DataConfig | None) -> tuple[Group, str, int]:
    if config is None:
        return Group(data.name if data else "", "", ""), "", 0
    model = config.model
    variant = "+".join(model.enhancements) or NONE
    return (
        Group(config.data.name, model.architecture, model.encoder_name),
        variant,
        config.train.seed,
    )
