"""How long the steps of a training take: a few of them, by the very loop that trains."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import ceil

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything

from segloom.config.run import RunConfig
from segloom.training.assembly import Assembly, assemble
from segloom.training.callbacks.activations import OnceUpdated
from segloom.training.callbacks.hook import Hook
from segloom.training.module import SegmentationTask
from segloom.training.trainer import build_trainer, training_settings

__all__ = ["TrainingTime", "time_training"]


@dataclass(frozen=True)
class TrainingTime:
    """Seconds of single steps, and what was trained."""

    steps: list[float]
    """Optimiser steps, their images read and augmented."""
    validations: list[float]
    """Validation images, one by one."""
    parts: Assembly


def time_training(config: RunConfig, num_steps: int) -> TrainingTime:
    """Train a fresh network for a few steps, validate two images, and write nothing.

    It runs in one process; of ``train.devices`` it computes the share of one.

    Args:
        config: Everything of the training; it has a single stage.
        num_steps: Timed steps, after one that warms up.

    Raises:
        ConfigError: Options do not fit each other or the data.
        DataError: An image or a label map cannot be used.
    """
    share = config.data.batch_size // config.train.devices
    alone = config.model_copy(
        update={
            "train": config.train.model_copy(update={"devices": 1}),
            "data": config.data.model_copy(update={"batch_size": share}),
        }
    )
    with training_settings(alone.train):
        seed_everything(alone.train.seed, verbose=False)
        parts = assemble(alone)
        is_fused = alone.train.precision != "fp16"
        task = SegmentationTask(parts.step, alone.optim, factor=lambda step: 1.0, fused=is_fused)
        clock = _Clock(1 + num_steps)
        callbacks: list[Hook] = [clock]
        if alone.train.checkpoint_activations:
            callbacks.append(OnceUpdated(parts.step.model))
        epochs = ceil((1 + num_steps) / parts.plan.num_steps)
        trainer = build_trainer(alone.train, callbacks, alone.optim.clip, epochs=epochs)
        trainer.limit_val_batches = 0
        trainer.fit(task, parts.training_batches())
        trainer.limit_val_batches = 2
        trainer.validate(task, parts.validation_batches(), verbose=False)
    return TrainingTime(clock.steps[1:], clock.validations, parts)


class _Clock(Hook):
    """Take the time of every optimiser step and validation image; end the training after a few."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.steps: list[float] = []
        self.validations: list[float] = []
        self.last = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the reading of the first batch."""
        self._lap()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Note a finished step, whose parts count together."""
        is_half_done = (batch_idx + 1) % trainer.accumulate_grad_batches
        if is_half_done and batch_idx + 1 < trainer.num_training_batches:
            return
        self.steps.append(self._lap())
        trainer.should_stop = len(self.steps) == self.num_steps

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the reading of the first image."""
        self._lap()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note a validated image."""
        self.validations.append(self._lap())

    def _lap(self) -> float:
        """Return the seconds since the last call."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        before, self.last = self.last, time.perf_counter()
        return self.last - before
