"""Train from Python: a recipe by name and options by keyword."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.config.load import load_run_config
from segloom.config.run import RunConfig
from segloom.data.readers import DATASETS, find_data_set
from segloom.data.source import data_root
from segloom.training.directory import default_run_directory
from segloom.training.fit import train as fit
from segloom.training.from_data import choose_options
from segloom.training.opening import describe_data, settle_layout

if TYPE_CHECKING:
    from segloom.training.fit import RunResult

__all__ = ["train"]


def train(
    config: RunConfig | str | os.PathLike[str], *, show_progress: bool = True, **options: object
) -> RunResult:
    """Train a network and write its run directory, as ``segloom train`` does.

    Args:
        config: A recipe by name, a YAML file by path, or a whole configuration.
        show_progress: Say what is trained on and show a bar (terminal) or a line per epoch, on
            standard error.
        options: Values that replace those of the recipe, by full name with underscores for dots
            (``data_root``, ``optim_lr``) or by the short names of the command line (``epochs``,
            ``lr``, ``batch_size``, ``crop``, ``arch``, ``encoder``, ``enhancements``, ``out``,
            ``seed``).

    Returns:
        What the training came to. It stands for the path of its run, so that `segloom.evaluate`
        and `segloom.load` take it.

    Raises:
        ConfigError: Options do not fit each other, the data, the machine or the run directory.
        DataError: An image or a label map cannot be used.
        TrainingError: The loss is no longer a number, or the device cannot do what is asked.
        TrainingStopped: A signal stopped it; the state is saved.

    Examples:
        >>> run = segloom.train("folder", data_root="leaves", epochs=10)  # doctest: +SKIP
        >>> segloom.evaluate(run).scores["mIoU"]  # doctest: +SKIP
        0.871
    """
    if isinstance(config, RunConfig):
        recipe, config = config.data.name, config.override(**options)
    else:
        recipe, config = Path(config).stem, load_run_config(os.fspath(config), **options)
    if config.train.out is None:
        config = config.override(train_out=default_run_directory(recipe, config))
    if not config.train.resume:
        config = _opened(config, show_progress=show_progress)
    return fit(config, show_progress=show_progress)


def _opened(config: RunConfig, *, show_progress: bool) -> RunConfig:
    """Look at the data before torch is loaded, and say what is there."""

    def say(line: str) -> None:
        if show_progress:
            sys.stderr.write(f"{line}\n")

    if config.data.name in DATASETS and find_data_set(config.data.name).needs_root:
        data_root(config.data)
    config = settle_layout(config, say)
    say(describe_data(config))
    return choose_options(config, say)
