"""The study of a search: its folder, its file, and what Optuna is told and asked.

DIR/tune.yaml               what is searched, and every option of the recipe
DIR/study.db                Optuna's study (SQLite), for its own tools too
DIR/cells/trial-0007/       the run directory of a trial, beside its configuration and its log
DIR/trials.md  trials.csv   every trial
DIR/best.yaml               configuration of the best trial so far
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import yaml
from pydantic import ValidationError

from segloom.comparison.cells.plan import FREE, flat_options
from segloom.config.load import explain_invalid
from segloom.config.tuning import Axis, Span, TuningPlan
from segloom.errors import ConfigError
from segloom.files import hold_lock, parse_yaml, write_text

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

__all__ = ["ask", "import_optuna", "open_folder", "open_study", "sampler", "working_alone"]

STUDY = "segloom"


def import_optuna() -> ModuleType:
    """Import Optuna, which only speaks up when something is wrong.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "a search needs Optuna; install it with `pip install 'segloom[tune]'`."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def working_alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which the system releases however this process ends.

    Raises:
        ConfigError: Another process holds it.
    """
    refusal = (
        f"another `segloom tune` works on {folder}; wait for it, or choose another folder "
        "with --out."
    )
    with hold_lock(folder / ".tune.lock", refusal):
        yield


def open_folder(plan: TuningPlan, folder: Path) -> None:
    """Write ``tune.yaml``, or make sure that the folder holds a search of the same options.

    Raises:
        ConfigError: The folder holds something else, or a search of another space or recipe.
    """
    path = folder / "tune.yaml"
    other = f"choose another folder with --out, or go on with the options in {path}"
    if path.is_file():
        earlier = _read_plan(path)
        if set(earlier.search) != set(plan.search):
            raise ConfigError(
                f"{folder} holds a search of {' '.join(earlier.search)}, not of "
                f"{' '.join(plan.search)}; {other}."
            )
        then, now = flat_options(earlier.recipe), flat_options(plan.recipe)
        changed = [
            f"{name} was {then.get(name)!r}, is {now.get(name)!r}"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name) and name not in (*FREE, "train.out")
        ]
        if changed:
            raise ConfigError(
                f"{folder} holds a search on another recipe: {'; '.join(changed)}; {other}."
            )
        if any((folder / "cells").glob("*.yaml")) and not (folder / "study.db").is_file():
            raise ConfigError(
                f"{folder} has trials but no study.db; choose another folder with --out."
            )
    elif folder.is_file():
        raise ConfigError(f"{folder} is a file; choose another folder with --out.")
    elif folder.is_dir() and any(entry.name != ".tune.lock" for entry in folder.iterdir()):
        raise ConfigError(
            f"{folder} is not empty and holds no search; choose another folder with --out."
        )
    write_text(path, yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, width=100))


def _read_plan(path: Path) -> TuningPlan:
    try:
        return TuningPlan.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise explain_invalid(error, str(path)) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); choose another folder.") from error


def open_study(plan: TuningPlan, folder: Path) -> Study:
    """Open or create ``study.db``.

    Trials are pruned by the median rule (Golovin et al., "Google Vizier", KDD 2017, section 3.2.2).

    Raises:
        ConfigError: The file cannot be read.
    """
    optuna = import_optuna()
    path = folder / "study.db"
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=plan.startup_trials, n_warmup_steps=plan.warmup_epochs + 1
    )
    try:
        study: Study = optuna.create_study(
            storage=f"sqlite:///{path.resolve()}",
            study_name=STUDY,
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )
    except Exception as error:  # SQLAlchemy raises many kinds
        text = str(error).splitlines()[0]
        raise ConfigError(
            f"{path} cannot be read ({text}); choose another folder with --out."
        ) from error
    return study


def sampler(plan: TuningPlan, number: int) -> BaseSampler:
    """Make the sampler that draws one trial: a tree-structured Parzen estimator.

    Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011. Its random numbers
    follow from the seed and the trial's number, so that a search that was stopped draws what it
    would have drawn.
    """
    seed = int(np.random.SeedSequence((plan.seed, number)).generate_state(1)[0])
    optuna = import_optuna()
    drawing: BaseSampler = optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=plan.startup_trials
    )
    return drawing


def ask(trial: Trial, axis: Axis) -> object:
    """Draw a value of an axis, or give the one that the trial has already."""
    if isinstance(axis, Span):
        if axis.is_integer:
            return trial.suggest_int(axis.option, int(axis.low), int(axis.high), log=axis.is_log)
        return trial.suggest_float(axis.option, axis.low, axis.high, log=axis.is_log)
    return axis.values[trial.suggest_categorical(axis.option, list(axis.values))]
