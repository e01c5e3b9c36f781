"""What Lightning trains: three short methods around `TrainingStep`."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from segloom.config.training import OptimConfig
from segloom.metrics import ConfusionMatrix
from segloom.ops.binary import both_logits, num_labels
from segloom.training.optimizer import build_optimizer
from segloom.training.schedule import rate_factor
from segloom.training.step import TrainingStep

__all__ = ["SegmentationTask"]


class SegmentationTask(LightningModule):  # type: ignore[misc]  # mypy does not read Lightning
    """Train by `TrainingStep`, validate by one confusion matrix over all images.

    Args:
        step: The network and its losses.
        config: The section ``optim``.
        num_steps: Optimiser steps of the whole training, for the schedule.
        epochs: Of the whole training, likewise.
        fused: Use torch's fused optimisers.
    """

    def __init__(
        self,
        step: TrainingStep,
        config: OptimConfig,
        *,
        num_steps: int,
        epochs: int = 1,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.step = step
        self.config = config
        self.num_steps = num_steps
        self.epochs = epochs
        self.fused = fused
        self.confusion = ConfusionMatrix(num_labels(step.model.shape.num_classes))
        self.validation_losses: list[Tensor] = []

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Return the losses by name; ``loss`` is what Lightning descends."""
        values: dict[str, Tensor] = self.step(self.step.pixels(batch), batch["mask"])
        return {**{name: value.detach() for name, value in values.items()}, "loss": values["total"]}

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count predicted against true classes; void of the truth is not counted."""
        logits = self.step.model.run(self.step.normalize(self.step.pixels(batch))).logits
        values = self.step.label_losses(logits, batch["mask"].long())
        self.validation_losses.append(self.step.losses.total(values).detach())
        predicted = both_logits(logits).argmax(dim=1).to(torch.uint8)
        self.confusion.update(predicted, batch["mask"])

    def configure_optimizers(self) -> dict[str, Any]:
        """Build the optimiser and the schedule, which moves with every optimiser step."""
        optimizer = build_optimizer(self.step.model, self.config, fused=self.fused)
        schedule = LambdaLR(
            optimizer,
            lambda step: rate_factor(self.config, step, self.num_steps, self.epochs),
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
