"""Train a network from a configuration: the main path of this room.

prepare the run directory -> data -> network -> losses -> Lightning's Trainer -> RunResult
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import torch

from segloom.config.run import RunConfig
from segloom.data_check.training import check_before_training
from segloom.errors import ConfigError, SegloomError, TrainingError, describe_system_error
from segloom.files import parse_json
from segloom.run_directory import RunDirectory
from segloom.training.assembly import assemble
from segloom.training.callbacks.build import build_callbacks
from segloom.training.callbacks.saver import StopRequested
from segloom.training.directory import (
    claim_run,
    default_run_directory,
    prepare_run,
    read_state,
    write_description,
)
from segloom.training.distributed.group import (
    any_process,
    join_torchrun,
    local_size,
    process_group,
    process_rank,
    torchrun_size,
    uses_gpu,
)
from segloom.training.distributed.processes import run_processes
from segloom.training.environment import resume_command
from segloom.training.from_data import choose_options
from segloom.training.module import SegmentationTask
from segloom.training.stages import divide_stages, rate_function
from segloom.training.trainer import build_trainer, training_settings

if TYPE_CHECKING:
    from segloom.training.stages import Stage

__all__ = ["RunResult", "TrainingStopped", "check_device", "explain_failure", "fit", "train"]


class TrainingStopped(KeyboardInterrupt):
    """SIGINT or SIGTERM stopped a training after its state was saved.

    Args:
        run: The run directory; ``command`` goes on with it.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.command = run, resume_command(run)
        super().__init__(f"stopped; go on with `{self.command}`")


@dataclass(frozen=True)
class RunResult:
    """What a training came to."""

    path: Path
    """The run directory."""
    epochs: int
    """Epochs trained, over all resumptions."""
    best_epoch: int | None
    """Epoch of the best checkpoint, from 1; None if no validation gave a score."""
    miou: float | None
    """Validation mIoU of the best checkpoint, 0 to 1."""
    seconds: float
    """Wall time of all epochs."""
    was_finished: bool = False
    """The run was to be resumed but had nothing left to do."""

    def __fspath__(self) -> str:
        return str(self.path)


def train(config: RunConfig, *, show_progress: bool = False) -> RunResult:
    """Train the network that a configuration describes and write its run directory.

    Called in every process that torchrun started, it trains in all of them together.

    Args:
        config: Everything; ``train.out`` None is a folder below ``runs``.
        show_progress: Show a bar (terminal) or a line per epoch on standard error.

    Raises:
        ConfigError: Options do not fit each other, the data, the machine or the run directory.
        DataError: An image or a label map cannot be used.
        TrainingError: The loss is no longer a number, or the device cannot do what is asked.
        TrainingStopped: A signal stopped it; the state is saved.
    """
    config = choose_options(join_torchrun(config))
    check_device(config)
    run = RunDirectory(config.train.out or default_run_directory(config.data.name, config))
    devices = config.train.devices
    starts_others = devices > 1 and torchrun_size() is None
    group = process_group(1 if starts_others else devices, on_gpu=uses_gpu(config.train))
    with group, ExitStack() as held:
        if _prepare(config, run, held):
            return _result(run, was_finished=True)
        if not starts_others:
            fit(config, run, show_progress=show_progress)
        elif not run_processes(run.path, devices, show_progress=show_progress):
            raise TrainingStopped(run.path)
        return _result(run)


def fit(config: RunConfig, run: RunDirectory, *, show_progress: bool = False) -> None:
    """Train in this process, one of ``train.devices``, from the run's saved state if it has one."""
    from lightning.pytorch import seed_everything

    group = process_group(config.train.devices, on_gpu=uses_gpu(config.train))
    with training_settings(config.train), group:
        seed_everything(config.train.seed, verbose=False)
        try:
            _fit(config, run, show_progress=show_progress)
        except StopRequested:
            raise TrainingStopped(run.path) from None
        except RuntimeError as error:
            explain_failure(error)
            raise


def _prepare(config: RunConfig, run: RunDirectory, held: ExitStack) -> bool:
    """Make the run directory ready; return whether the run is finished already.

    The first process of a group does it and holds the lock; the others wait and hear of it.
    """
    refusal: SegloomError | None = None
    is_finished = False
    if process_rank() == 0:
        try:
            if not config.train.resume:
                check_before_training(config.data)
            held.enter_context(claim_run(run))
            prepare_run(config, run.path)
            is_finished = config.train.resume and _is_finished(config, run)
            if not is_finished:
                write_description(config, run)
        except SegloomError as error:
            refusal = error
        except OSError as error:
            refusal = TrainingError(
                describe_system_error(error) or f"cannot write to {run.path}: {error}."
            )
    if any_process(refusal is not None):
        raise refusal or TrainingError("the first process does not start; its message says why.")
    return any_process(is_finished)


def _fit(config: RunConfig, run: RunDirectory, *, show_progress: bool) -> None:
    stages, stop = divide_stages(config), Event()
    for stage in stages:
        saved = read_state(run).get("callbacks", {}).get("Saver", {})
        # A stage before the saved position is done; an early stop is the end of all.
        if saved and saved["position"][0] >= stage.end:
            continue
        if stage.number > 1 and saved["is_finished"]:
            break
        _fit_stage(stage, stages, run, stop, show_progress=show_progress)


def _fit_stage(
    stage: Stage, stages: Sequence[Stage], run: RunDirectory, stop: Event, *, show_progress: bool
) -> None:
    config = stage.config
    parts = assemble(config)
    task = SegmentationTask(
        parts.step,
        config.optim,
        factor=rate_function(stages, len(parts.training)),
        fused=config.train.precision != "fp16",  # a fused step unscales by itself: no clipping
    )
    state = read_state(run)
    position = tuple(state["callbacks"]["Saver"]["position"]) if state else (0, 0)
    batches = (parts.training_batches(*position), parts.validation_batches())
    callbacks = build_callbacks(
        config,
        run,
        parts.step.model,
        parts.training.labels,
        parts.plan,
        stage=stage,
        is_new=stage.number > 1 and position == (stage.start, 0),
        stop=stop,
        show_progress=show_progress,
    )
    trainer = build_trainer(config.train, callbacks, config.optim.clip, epochs=stage.end)
    path = str(run.trainer_state) if state else None
    trainer.fit(task, *batches, ckpt_path=path, weights_only=True)


def check_device(config: RunConfig) -> None:
    """Refuse an accelerator, a precision or a number of GPUs that this machine does not have.

    Raises:
        ConfigError: It does not.
    """
    train_config = config.train
    if train_config.accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("train.accelerator is gpu, but torch sees none; use cpu or auto.")
    on_gpu, devices = uses_gpu(train_config), local_size(train_config.devices)
    if train_config.precision == "fp16" and not on_gpu:
        raise ConfigError("train.precision fp16 needs a GPU; on a CPU use bf16 or fp32.")
    if on_gpu and devices > torch.cuda.device_count():
        raise ConfigError(
            f"train.devices is {devices}, but there are {torch.cuda.device_count()} GPUs."
        )


def explain_failure(error: RuntimeError) -> None:
    """Raise what torch says in a user's words, where there is a fix."""
    text = str(error)
    if "deterministic" in text:
        raise TrainingError(
            f"{text.split('.')[0]}. This network needs an operation that has no repeatable form "
            "on this device; set train.deterministic False."
        ) from error
    if isinstance(error, torch.cuda.OutOfMemoryError):
        raise TrainingError(
            "the GPU has too little memory; raise train.accumulate, lower data.batch_size or "
            "data.crop, or use train.precision bf16."
        ) from error


def _is_finished(config: RunConfig, run: RunDirectory) -> bool:
    state = read_state(run)
    if not state:
        return False
    saver = state["callbacks"]["Saver"]
    # An early stop is final, unless more epochs than at first are asked for.
    early: bool = saver["is_finished"] and config.train.epochs <= saver["epochs"]
    return early or int(saver["position"][0]) >= config.train.epochs


def _result(run: RunDirectory, *, was_finished: bool = False) -> RunResult:
    lines = run.history.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    rows = [parse_json(line) for line in lines]
    scored = [row for row in rows if row["val/mIoU"] is not None]
    best = max(scored, key=lambda row: row["val/mIoU"], default=None)  # the first of equals
    return RunResult(
        path=run.path,
        epochs=len(rows),
        best_epoch=best and best["epoch"],
        miou=best and best["val/mIoU"],
        seconds=round(sum(row["seconds"] for row in rows), 3),
        was_finished=was_finished,
    )
