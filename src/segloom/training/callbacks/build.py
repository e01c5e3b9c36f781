"""What happens around the steps of a training, in the order in which it must."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event

import torch
from lightning.pytorch import LightningModule, Trainer

from segloom.config.run import RunConfig
from segloom.models import SegmentationModel
from segloom.models.weights.checkpoint import save_pretrained
from segloom.run_directory import RunDirectory
from segloom.training.batches import BatchPlan
from segloom.training.callbacks.activations import OnceUpdated
from segloom.training.callbacks.annealing import Annealing
from segloom.training.callbacks.average import WeightAverage
from segloom.training.callbacks.hook import Hook
from segloom.training.callbacks.progress import ProgressDisplay, describe_row
from segloom.training.callbacks.recorder import Recorder, Row
from segloom.training.callbacks.saver import Saver
from segloom.training.callbacks.seeding import StepSeed
from segloom.training.callbacks.unfreezing import Unfreezing
from segloom.training.distributed.group import process_rank, uses_gpu
from segloom.training.stages import FreshOptimizer, Stage
from segloom.types import LabelSet

__all__ = ["LastValidation", "build_callbacks"]


class LastValidation(Hook):
    """Validate the last epoch of a stage whatever ``train.validate_every`` says."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shorten the interval for the last epoch."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1


def build_callbacks(
    config: RunConfig,
    run: RunDirectory,
    model: SegmentationModel,
    labels: LabelSet,
    plan: BatchPlan,
    *,
    stage: Stage,
    is_new: bool,
    stop: Event,
    show_progress: bool,
) -> list[Hook]:
    """Build the callbacks of a stage: seeds, average, history, saving, display.

    Args:
        config: That of the stage.
        run: Where the files are.
        model: The network.
        labels: Of the data.
        plan: Of the stage's epochs.
        stage: Most runs have but one.
        is_new: The stage follows on another and has not begun.
        stop: Set by a signal.
        show_progress: Show it on standard error.
    """
    display = ProgressDisplay(stage) if show_progress else None
    is_first = process_rank() == 0

    def report(line: str) -> None:
        with (run.path / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")

    def on_row(row: Row) -> None:
        report(describe_row(row, config.train.epochs))
        if display is not None:
            scores = [past["val/mIoU"] for past in recorder.rows]
            best = max((score for score in scores if score is not None), default=None)
            display.show_row(row, best)

    def save(directory: Path, metrics: Mapping[str, object]) -> None:
        save_pretrained(model, directory, labels, metrics)

    if is_first:
        line = _describe(stage, model, plan)
        report(line)
        if display is not None:
            display.show(line)
    average = WeightAverage(model, config.train.ema) if config.train.ema else None
    recorder = Recorder(run, tensorboard=config.train.tensorboard, on_row=on_row)
    saver = Saver(
        run,
        model,
        save,
        recorder,
        average=average,
        patience=config.train.early_stop,
        epochs=config.train.epochs,
        stop=stop,
    )
    callbacks: list[Hook | None] = [
        FreshOptimizer() if is_new else None,
        *_on_the_network(config, model, plan),
        # Before the average: it averages the processes' statistics for the validation.
        average,
        recorder,
        display if is_first else None,
        saver,
    ]
    return [callback for callback in callbacks if callback is not None]


def _on_the_network(config: RunConfig, model: SegmentationModel, plan: BatchPlan) -> Iterator[Hook]:
    """Return the callbacks that act on the network while it learns."""
    train = config.train
    yield StepSeed(train.seed)
    if train.checkpoint_activations:
        yield OnceUpdated(model)
    yield LastValidation()
    if train.frozen_epochs or train.unfreeze_every:
        yield Unfreezing(model, train.frozen_epochs, train.unfreeze_every)
    if hasattr(model.decoder, "anneal"):
        yield Annealing(model, plan.num_steps * train.epochs)


def _describe(stage: Stage, model: SegmentationModel, plan: BatchPlan) -> str:
    config = stage.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    names = [config.model.architecture, config.model.encoder_name, *model.enhancements]
    line = (
        f"{stage.title}{' + '.join(names)}: {parameters / 1e6:.2f} M parameters, "
        f"{plan.num_steps} steps of {config.data.batch_size} images per epoch, "
        f"{config.train.precision}, {_device(config)}"
    )
    if stage.count > 1:
        low, high = config.data.augment.scale
        size = "whole images" if config.data.crop is None else "crops of {} x {}"
        line += f", {size.format(*config.data.crop or ())}, scale {low:g} to {high:g}"
    if plan.drop_last:
        line += "; the last image of every epoch, a batch of its own, is left out"
    return line


def _device(config: RunConfig) -> str:
    """Name what is trained on."""
    if not uses_gpu(config.train):
        return f"on the CPU ({torch.get_num_threads()} threads)"
    names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    return f"on {config.train.devices} x {' and '.join(sorted(names))}"
