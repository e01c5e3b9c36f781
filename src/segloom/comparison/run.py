"""A whole comparison: cells -> measured runs -> statistics -> tables and page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segloom.comparison.analysis import FailedCell, analyse
from segloom.comparison.budget import budgeted_cells, probe_cells
from segloom.comparison.cells import outcome
from segloom.comparison.local import run_here, run_workers
from segloom.comparison.plan import Cell, Group, make_cells, open_plan
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
from segloom.run_directory import RunDirectory

__all__ = ["Comparison", "compare", "compare_runs", "summarise"]


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
    return summarise(plan, cells, folder)


def summarise(plan: ComparisonPlan, cells: Sequence[Cell], folder: Path) -> Comparison:
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
        conditions=_conditions(configs, measured, plan.seeds),
    )
    return Comparison(folder, values, write_tables(folder, values))


def compare_runs(
    runs: Sequence[str],
    folder: Path,
    *,
    baseline: str | None = None,
    data: DataConfig | None = None,
    config: EvalConfig | None = None,
) -> Comparison:
    """Compare finished runs: of ours, or of any program as one label PNG per image.

    Args:
        runs: Each a folder, or ``NAME=FOLDER``. Runs of one name are the seeds of one kind. Without
            names, runs of ours are grouped by data, architecture and encoder.
        folder: Where the tables and the page go.
        baseline: Kind that the others are compared with; None is "none", or the first.
        data: Truth of the label PNGs.
        config: What is measured on them.

    Raises:
        ConfigError: Label PNGs without data, or a baseline that is not there.
        DataError: A run was not measured, or a label map cannot be used.
    """
    named = [_split_name(text) for text in runs]
    is_named = any(name for name, _ in named)
    measured: list[Measured] = []
    for name, path in named:
        has_config = RunDirectory(path).config.is_file()
        own = read_config(RunDirectory(path).config) if has_config else None
        group, variant, seed = _place(own, data)
        if is_named or own is None:
            group = Group(group.recipe, "networks", "as named")
            variant = name or (variant if own else path.name)
            seed = sum(run.variant == variant for run in measured)
        if own is not None:
            split = config.split if config else "test"
            facts = outcome_of(path)
            measured.append(read_measured(path, group, variant, seed, facts=facts, split=split))
        elif data is None:
            raise ConfigError(
                f"{path} is no run of segloom; for label PNGs name the truth, for example "
                "--data.name camvid --data.root DIR."
            )
        else:
            measured.append(
                count_predictions(path, data, config or EvalConfig(), group, variant, seed)
            )
    kinds = list(dict.fromkeys(run.variant for run in measured))
    chosen = baseline or (NONE if NONE in kinds else kinds[0])
    if chosen not in kinds:
        raise ConfigError(f"there is no run of the kind {chosen}; there are {', '.join(kinds)}.")
    seeds = sorted({run.seed for run in measured})
    values = analyse(measured, baseline=chosen, conditions=_conditions({}, measured, seeds))
    return Comparison(folder, values, write_tables(folder, values))


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


def _conditions(
    configs: dict[str, RunConfig], measured: Sequence[Measured], seeds: Sequence[int]
) -> dict[str, Any]:
    """State the protocol: what all cells share, so that a reader can judge and repeat it."""
    from segloom.training.environment import describe_environment

    first = measured[0].facts if measured else {}
    protocols = {}
    for name, config in configs.items():
        values = config.model_dump(mode="json", exclude={"data": {"root", "cache_dir"}})
        values["train"].pop("out")
        values["train"].pop("seed")
        values["model"].pop("enhancements")
        weights = config.model.encoder_weights
        values["model"]["encoder_weights"] = Path(weights).name if weights else None
        protocols[name] = values
    environment = describe_environment()
    return {
        "seeds": list(seeds),
        "policy": first.get("policy"),
        "inference": first.get("inference"),
        "protocols": protocols,
        "versions": environment["packages"],
        "processor": environment["processor"],
        "accelerators": environment["accelerators"],
    }
