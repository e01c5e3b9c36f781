"""The run directory before a training: made, refused, cleared or gone on with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segloom.config.load import dump_config, read_config
from segloom.config.model import parse_enhancement
from segloom.config.run import RunConfig
from segloom.errors import ConfigError
from segloom.files import hold_lock, remove_temporary_files, write_json, write_text
from segloom.run_directory import RunDirectory
from segloom.training.environment import command_line, describe_environment

__all__ = [
    "claim_run",
    "default_run_directory",
    "prepare_run",
    "read_state",
    "write_description",
]

DESCRIPTION = {
    *("command.txt", "config.yaml", "environment.json", "log.txt"),
    *("find_lr.csv", "find_lr.png", ".lock"),
}
"""Files that stand before the first epoch; alone they are nothing that could be lost."""

FREE_TO_CHANGE = {
    "data.workers",
    "data.cache",
    "data.cache_dir",
    "train.out",
    "train.epochs",
    "train.early_stop",
    "train.threads",
    "train.tensorboard",
    "train.resume",
    "train.overwrite",
}
"""Options that a resumed run may set differently, besides those of the evaluation."""


def default_run_directory(recipe: str, config: RunConfig) -> Path:
    """Name ``runs/<recipe>-<architecture>-<encoder>[-<enhancements>]``."""
    enhancements = [parse_enhancement(text)[0] for text in config.model.enhancements]
    words = [recipe, config.model.architecture, config.model.encoder_name, *enhancements]
    return Path("runs") / "-".join(word.replace("/", "_") for word in words)


def prepare_run(config: RunConfig, path: Path) -> RunDirectory:
    """Make sure that a training may write to ``path``.

    Raises:
        ConfigError: Something is there and neither train.resume nor train.overwrite is set, or
            the run to resume was made with other options.
    """
    run = RunDirectory(path)
    if config.train.resume and config.train.overwrite:
        raise ConfigError("train.resume and train.overwrite exclude each other; give one.")
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file; choose another folder with train.out.")
    if config.train.resume:
        _check_resumable(config, run)
    elif path.is_dir() and not _never_trained(path):
        _make_room(run, may_overwrite=config.train.overwrite)
    return run


def _check_resumable(config: RunConfig, run: RunDirectory) -> None:
    if not run.config.is_file():
        raise ConfigError(f"{run.path} holds no run to resume; leave train.resume out to start it.")
    _check_same(config, read_config(run.config), run)


def _make_room(run: RunDirectory, *, may_overwrite: bool) -> None:
    """Remove an earlier run, if it may be overwritten."""
    if not may_overwrite:
        raise ConfigError(
            f"{run.path} is not empty; add --train.resume to go on with that run, "
            "--train.overwrite to replace it, or choose another folder with --train.out."
        )
    if not run.config.is_file():
        raise ConfigError(f"{run.path} holds files but no run; empty it yourself, to be safe.")
    _empty(run)
    if not any(run.path.iterdir()):
        run.path.rmdir()


@contextmanager
def claim_run(run: RunDirectory) -> Iterator[None]:
    """Be the one training that writes to a run directory, and remove what killed ones left there.

    Raises:
        ConfigError: Another process trains there, or it is a file.
    """
    if run.path.exists() and not run.path.is_dir():
        raise ConfigError(f"{run.path} is a file; choose another folder with train.out.")
    is_new = not run.path.exists()
    refusal = (
        f"another training is writing to {run.path}; wait until it has ended, or choose another "
        "folder with --train.out."
    )
    with hold_lock(run.lock, refusal):
        try:
            if run.config.is_file():
                remove_leftovers(run)
            yield
        finally:
            if not run.config.is_file():  # refused before it began: leave no trace
                run.lock.unlink(missing_ok=True)
                if is_new and not any(run.path.iterdir()):
                    run.path.rmdir()


def remove_leftovers(run: RunDirectory) -> None:
    """Remove the unfinished files of a training that was killed; nobody else may write there."""
    checkpoints = run.trainer_state.parent
    for folder in (run.path, checkpoints, checkpoints / "best", checkpoints / "last"):
        remove_temporary_files(folder)
    # Of earlier versions, and of the writers of the libraries.
    for pattern in ("trainer.part", "*/.model.*", "*/.tmp*", "*/.config.*", "*/.README.*"):
        for path in checkpoints.glob(pattern):
            path.unlink(missing_ok=True)


def _empty(run: RunDirectory) -> None:
    """Remove all that a run directory holds but the lock, which would not hold without its file."""
    for entry in run.path.iterdir():
        if entry == run.lock:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _never_trained(path: Path) -> bool:
    """Return whether a folder holds at most the description of a run that failed at its start."""
    return {entry.name for entry in path.iterdir()} <= DESCRIPTION


def write_description(config: RunConfig, run: RunDirectory) -> None:
    """Write config.yaml, environment.json and command.txt."""
    stored = config.train.model_copy(update={"resume": False, "overwrite": False, "out": run.path})
    write_text(run.config, dump_config(config.model_copy(update={"train": stored})))
    write_json(run.path / "environment.json", describe_environment())
    command = run.path / "command.txt"
    earlier = command.read_text(encoding="utf-8") if command.is_file() else ""
    write_text(command, f"{earlier}{command_line()}\n")


def read_state(run: RunDirectory) -> dict[str, Any]:
    """Read the saved trainer state, tensors and plain values only; empty if there is none.

    Raises:
        ConfigError: The file cannot be read.
    """
    import torch

    if not run.trainer_state.is_file():
        return {}
    try:
        state: dict[str, Any] = torch.load(
            run.trainer_state, map_location="cpu", weights_only=True, mmap=True
        )
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ConfigError(
            f"{run.trainer_state} cannot be read ({str(error).splitlines()[0]}); start the run "
            "again with --train.overwrite."
        ) from error
    return state


def _check_same(config: RunConfig, stored: RunConfig, run: RunDirectory) -> None:
    now, then = _flat(config.model_dump(mode="json")), _flat(stored.model_dump(mode="json"))
    # Stages that share the epochs among them would begin elsewhere.
    free = FREE_TO_CHANGE - ({"train.epochs"} if stored.train.stages else set())
    changed = [
        name
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name) and name not in free and not name.startswith("eval.")
    ]
    if changed:
        moved = " (if the images have moved, write so in that file)" * ("data.root" in changed)
        listed = ", ".join(f"{n} (was {then.get(n)!r}, is {now.get(n)!r})" for n in changed)
        raise ConfigError(
            f"{run.path} was made with other options: {listed}; resume it with `segloom train "
            f"{run.config} --train.resume`{moved}, or choose another folder with --train.out."
        )


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
