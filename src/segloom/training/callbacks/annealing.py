"""Parts of a network that change with the progress of training, such as EoMT's masks."""

from __future__ import annotations

from operator import methodcaller

from lightning.pytorch import LightningModule, Trainer

from segloom.models import SegmentationModel
from segloom.training.callbacks.hook import Hook

__all__ = ["Annealing"]


class Annealing(Hook):
    """Tell a decoder before every step which share of the training is done.

    The share follows from the step alone, so that a resumed run goes on as it would have.

    Args:
        model: Its decoder has a method ``anneal``.
        num_steps: Optimiser steps of the whole training.
    """

    def __init__(self, model: SegmentationModel, num_steps: int) -> None:
        self.model, self.num_steps = model, num_steps

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Hand on the share of the steps that are taken."""
        share = min(trainer.global_step / self.num_steps, 1.0)
        methodcaller("anneal", share)(self.model.decoder)
