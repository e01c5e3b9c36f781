"""Random numbers that follow from the position, so that a resumed run draws them again."""

from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer

from segloom.training.callbacks.hook import Hook

__all__ = ["StepSeed"]


class StepSeed(Hook):
    """Seed torch before every batch by (seed, epoch, batch, process).

    Dropout and whatever else draws from torch's generators is then the same however often the run
    was interrupted, and no state of a generator need be saved.

    Args:
        seed: Of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Seed all of torch's generators."""
        place = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))
