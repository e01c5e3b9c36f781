"""Train a network from a configuration: the main path of this room.

prepare the run directory -> data -> network -> losses -> Lightning's Trainer -> RunResult
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segloom.config.run import RunConfig
from segloom.data import SegmentationDataset, build_dataset, build_loader
from segloom.data.class_uniform import class_uniform
from segloom.data.statistics import class_weights, count_classes
from segloom.enhancements import list_enhancements
from segloom.errors import ConfigError, TrainingError
from segloom.losses import SegmentationLosses, build_losses
from segloom.models import SegmentationModel, build_model
from segloom.run_directory import RunDirectory
from segloom.training.batches import BatchPlan, check_single_sample, plan_batches
from segloom.training.directory import (
    default_run_directory,
    prepare_run,
    read_state,
    write_description,
)
from segloom.training.environment import resume_command
from segloom.training.loader import Batches, TrainingBatches
from segloom.training.processes import process_rank, run_processes
from segloom.training.step import TrainingStep

__all__ = ["RunResult", "TrainingStopped", "fit", "train"]


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


def train(config: RunConfig, *, show_progress: bool = False) -> RunResult:
    """Train the network that a configuration describes and write its run directory.

    Args:
        config: Everything; ``train.out`` None is a folder below ``runs``.
        show_progress: Show a bar (terminal) or a line per epoch on standard error.

    Raises:
        ConfigError: Options do not fit each other, the data, the machine or the run directory.
        DataError: An image or a label map cannot be used.
        TrainingError: The loss is no longer a number, or the device cannot do what is asked.
        TrainingStopped: A signal stopped it; the state is saved.
    """
    _check_device(config)
    run = prepare_run(config, config.train.out or default_run_directory(config.data.name, config))
    if config.train.resume and _is_finished(config, run):
        return _result(run, was_finished=True)
    write_description(config, run)
    if config.train.devices > 1:
        if not run_processes(run.path, config.train.devices, show_progress=show_progress):
            raise TrainingStopped(run.path)
    else:
        fit(config, run, show_progress=show_progress)
    return _result(run)


def fit(config: RunConfig, run: RunDirectory, *, show_progress: bool = False) -> None:
    """Train in this process, one of ``train.devices``, from the run's saved state if it has one."""
    from lightning.pytorch import seed_everything

    from segloom.training.saver import StopRequested
    from segloom.training.trainer import training_settings

    with training_settings(config.train):
        seed_everything(config.train.seed, verbose=False)
        try:
            _fit(config, run, show_progress=show_progress)
        except StopRequested:
            raise TrainingStopped(run.path) from None
        except RuntimeError as error:
            _explain(error)
            raise


def _fit(config: RunConfig, run: RunDirectory, *, show_progress: bool) -> None:
    from segloom.training.callbacks import build_callbacks
    from segloom.training.module import SegmentationTask
    from segloom.training.trainer import build_trainer

    training = build_dataset(config.data, "train", augment=True, seed=config.train.seed)
    validation = build_dataset(config.data, "val")
    plan = plan_batches(config, len(training))
    model = _model(config, training, plan)
    if model.edge_channels:
        training.require_edges()
        validation.require_edges()
    step = TrainingStep(
        model, _losses(config, model, training), channels_last=config.train.channels_last
    )
    task = SegmentationTask(
        step,
        config.optim,
        num_steps=plan.num_steps * config.train.epochs,
        epochs=config.train.epochs,
        fused=config.train.precision != "fp16",  # a fused step unscales by itself: no clipping
    )
    state = read_state(run)
    batches = _batches(config, training, validation, plan, state)
    callbacks = build_callbacks(
        config, run, model, training.labels, plan, show_progress=show_progress
    )
    trainer = build_trainer(config.train, callbacks, config.optim.clip)
    path = str(run.trainer_state) if state else None
    trainer.fit(task, *batches, ckpt_path=path, weights_only=True)


def _model(config: RunConfig, training: SegmentationDataset, plan: BatchPlan) -> SegmentationModel:
    model = build_model(config.model, len(training.classes))
    if plan.smallest == 1:
        height, width = config.data.crop or training[0]["image"].shape[-2:]
        check_single_sample(model, (height, width), config.model.architecture)
    if config.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return model


def _losses(
    config: RunConfig, model: SegmentationModel, training: SegmentationDataset
) -> SegmentationLosses:
    if len(training.classes) == 1:
        raise ConfigError(
            f"the data has a single class ({training.classes[0]}), which leaves nothing to tell "
            "apart; declare the background as a class in data.classes."
        )
    weights = None
    if config.loss.class_weights != "none":
        full = class_weights(count_classes(training), config.loss.class_weights)
        weights = [weight**config.loss.class_weight_power for weight in full]
    return build_losses(
        config.loss,
        class_weights=weights,
        auxiliary=model.loss_weights,
        known_enhancements=list_enhancements(),
    )


def _batches(
    config: RunConfig,
    training: SegmentationDataset,
    validation: SegmentationDataset,
    plan: BatchPlan,
    state: dict[str, Any],
) -> tuple[TrainingBatches, Batches]:
    """Build the batches of training, from where a saved state stopped, and of validation."""
    epoch, done = state["callbacks"]["Saver"]["position"] if state else (0, 0)
    share: dict[str, Any] = {
        "rank": process_rank(),
        "world_size": config.train.devices,
        "workers": config.data.workers,
        "pin_memory": torch.cuda.is_available(),
    }
    uniform = config.data.class_uniform > 0
    sampled = build_loader(
        training,
        plan=class_uniform(config.data, training, config.train.seed) if uniform else None,
        batch_size=plan.batch_size,
        shuffle=True,
        seed=config.train.seed,
        drop_last=plan.drop_last,
        start=(epoch, done),
        **share,
    )
    # One whole image at a time, as evaluation does it: nothing is padded to another's size.
    whole = build_loader(validation, batch_size=1, shuffle=False, **share)
    return TrainingBatches(sampled, plan.num_batches), Batches(whole, len(whole))


def _check_device(config: RunConfig) -> None:
    has_gpu, train_config = torch.cuda.is_available(), config.train
    if train_config.accelerator == "gpu" and not has_gpu:
        raise ConfigError("train.accelerator is gpu, but torch sees none; use cpu or auto.")
    on_gpu = has_gpu and train_config.accelerator != "cpu"
    if train_config.precision == "fp16" and not on_gpu:
        raise ConfigError("train.precision fp16 needs a GPU; on a CPU use bf16 or fp32.")
    if on_gpu and train_config.devices > torch.cuda.device_count():
        raise ConfigError(
            f"train.devices is {train_config.devices}, but there are "
            f"{torch.cuda.device_count()} GPUs."
        )


def _explain(error: RuntimeError) -> None:
    """Raise what torch says in a user's words, where there is a mend."""
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
    rows = [json.loads(line) for line in lines]
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
