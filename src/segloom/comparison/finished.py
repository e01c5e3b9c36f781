"""Comparing runs that are finished already: of ours, or of any program as label PNGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segloom.comparison.cells.plan import Group
from segloom.comparison.run import PICTURES, Comparison, write_result
from segloom.comparison.statistics.analysis import Spread, analyse
from segloom.comparison.statistics.naming import name_by_difference
from segloom.comparison.statistics.protocol import describe_conditions, list_differences
from segloom.comparison.statistics.results import (
    Counted,
    Measured,
    count_predictions,
    read_counted,
    resample,
)
from segloom.config.comparison import NONE, SMALLEST_GAIN
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.config.load import read_config
from segloom.config.run import RunConfig
from segloom.errors import ConfigError
from segloom.files import parse_json
from segloom.run_directory import RunDirectory

__all__ = ["compare_runs"]


def compare_runs(
    runs: Sequence[str | Path] | Mapping[str, Sequence[str | Path]],
    folder: Path,
    *,
    baseline: str | None = None,
    data: DataConfig | None = None,
    config: EvalConfig | None = None,
    pictures: int = PICTURES,
    smallest_gain: float = SMALLEST_GAIN,
    spread: Spread = "moderated",
) -> Comparison:
    """Compare finished runs: of ours, or of any program as one label PNG per image.

    Args:
        runs: Each a folder, or ``NAME=FOLDER``, or a mapping from names to folders. Runs of one
            name are the seeds of one kind. Without names, runs of ours that differ in one option
            alone are named by it, and others grouped by data, architecture and encoder.
        folder: Where the tables and the page go.
        baseline: Kind that the others are compared with; None is "none", or the first.
        data: Truth of the label PNGs; for runs of ours only where it lies now.
        config: What is measured on them.
        pictures: As for `compare`.
        smallest_gain: Smallest gain of interest, in points.
        spread: As for `compare`.

    Raises:
        ConfigError: Label PNGs without data, or a baseline that is not there.
        DataError: A run was not measured, or a label map cannot be used.
    """
    if (folder / "plan.yaml").is_file():
        raise ConfigError(
            f"{folder} holds a comparison of its own cells, whose tables this would replace; "
            "choose another folder with --out."
        )
    if isinstance(runs, Mapping):
        named = [(name, Path(path)) for name, paths in runs.items() for path in paths]
    else:
        named = name_by_difference([_split_name(str(text)) for text in runs])
    counted, configs = _read_runs(named, data, config)
    _check_distinct(counted)
    chosen = _choose_baseline(counted, baseline)
    measured = resample(counted, baseline=chosen)
    seeds = sorted({run.seed for run in measured})
    protocols = _configs_by_recipe(configs, measured)
    conditions = describe_conditions(protocols, measured, seeds)
    conditions["differences"] = list_differences(configs, measured)
    result = analyse(
        measured,
        baseline=chosen,
        conditions=conditions,
        smallest_gain=smallest_gain / 100,
        spread=spread,
    )
    return write_result(folder, result, measured, pictures)


def _read_runs(
    named: Sequence[tuple[str, Path]], data: DataConfig | None, config: EvalConfig | None
) -> tuple[list[Counted], dict[str, RunConfig]]:
    """Read the counts of every run, and the configurations of ours by their path."""
    own = {path: _own_config(path) for _, path in named}
    is_named = None in own.values() or any(name for name, _ in named)
    counted: list[Counted] = []
    for name, path in named:
        group, variant, seed = _place(own[path], data)
        if is_named:
            group = Group(group.recipe, "networks", "as named")
            variant = name or (variant if own[path] else path.name)
            seed = sum(run.variant == variant for run in counted)
        run_config = own[path]
        if run_config is None:
            counted.append(_count_foreign(path, data, config, (group, variant, seed)))
            continue
        split = config.split if config else "test"
        moved = None if data is None else _moved(run_config, data)
        facts = _outcome_of(path)
        counted.append(
            read_counted(path, group, variant, seed, facts=facts, split=split, data=moved)
        )
    return counted, {str(path): found for path, found in own.items() if found is not None}


def _own_config(run: Path) -> RunConfig | None:
    path = RunDirectory(run).config
    return read_config(path) if path.is_file() else None


def _count_foreign(
    path: Path,
    data: DataConfig | None,
    config: EvalConfig | None,
    place: tuple[Group, str, int],
) -> Counted:
    """Count the label PNGs of a program that is not ours."""
    if data is None:
        raise ConfigError(
            f"{path} is no run of segloom; for label PNGs name the truth, for example "
            "--data.name camvid --data.root DIR."
        )
    return count_predictions(path, data, config or EvalConfig(), *place)


def _choose_baseline(counted: Sequence[Counted], wanted: str | None) -> str:
    kinds = list(dict.fromkeys(run.variant for run in counted))
    chosen = wanted or (NONE if NONE in kinds else kinds[0])
    if chosen not in kinds:
        raise ConfigError(f"there is no run of the kind {chosen}; there are {', '.join(kinds)}.")
    return chosen


def _configs_by_recipe(
    configs: Mapping[str, RunConfig], measured: Sequence[Measured]
) -> dict[str, RunConfig]:
    """Take the first configuration of every recipe."""
    found: dict[str, RunConfig] = {}
    for item in measured:
        if str(item.path) in configs:
            found.setdefault(item.group.recipe, configs[str(item.path)])
    return found


def _check_distinct(counted: Sequence[Counted]) -> None:
    """Refuse two runs in one place of the table."""
    places: dict[tuple[Group, str, int], Counted] = {}
    for run in counted:
        other = places.setdefault((run.group, run.variant, run.seed), run)
        if other is not run:
            raise ConfigError(
                f"{other.rest['path']} and {run.rest['path']} are both {run.variant} with seed "
                f"{run.seed}; name the kinds, for example before=RUN after=RUN."
            )


def _outcome_of(run: Path) -> dict[str, object]:
    """Read the cost of a run that was a cell; empty for others."""
    try:
        values = parse_json((run / "cell.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _split_name(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or Path(text).exists():
        return "", Path(text)
    return name, Path(path)


def _moved(config: RunConfig, data: DataConfig) -> DataConfig:
    """Return a run's own data at the place where it lies now."""
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
