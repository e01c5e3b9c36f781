"""What Lightning trains: three short methods around `TrainingStep`."""

from __future__ import annotations

from collections.abc import Callable

from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from segloom.config.training import OptimConfig
from segloom.metrics import Scores
from segloom.metrics.by_space import measures_of
from segloom.ops.channels import channels_of
from segloom.training.optimizer import build_optimizer
from segloom.training.step import TrainingStep
from segloom.training.streaming import metric_of
from segloom.types import Batch

__all__ = ["SegmentationTask"]


class SegmentationTask(LightningModule):  # type: ignore[misc]  # mypy does not read Lightning
    """Train by `TrainingStep`, validate by one count over all images.

    Args:
        step: The network and its losses.
        config: The section ``optim``.
        factor: The learning-rate schedule: from optimiser steps taken to a multiplier.
        fused: Use torch's fused optimisers.
    """

    def __init__(
        self,
        step: TrainingStep,
        config: OptimConfig,
        *,
        factor: Callable[[int], float],
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.step = step
        self.config = config
        self.factor = factor
        self.fused = fused
        space = step.model.space
        self.measures, self.channels = measures_of(space.overlaps), channels_of(space.mode)
        self.counts = metric_of(space)
        self.validation_losses: list[Tensor] = []

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the losses by name; ``loss`` is what Lightning descends."""
        values: dict[str, Tensor] = self.step(self.step.pixels(batch), batch["mask"])
        return {**{name: value.detach() for name, value in values.items()}, "loss": values["total"]}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count predicted against true classes; void of the truth is not counted."""
        logits = self.step.model.run(self.step.normalize(self.step.pixels(batch))).logits
        values = self.step.label_losses(logits, batch["mask"].long())
        self.validation_losses.append(self.step.losses.total(values).detach())
        predicted = self.channels.label_logits(self.channels.per_class(logits))
        self.counts.update(predicted, batch["mask"])

    def take_scores(self) -> Scores:
        """Score the images of all processes since the last call."""
        counts = self.counts.compute().cpu().numpy()
        self.counts.reset()
        return self.measures.scores(counts)

    def configure_optimizers(self) -> dict[str, object]:
        """Build the optimiser and the schedule, which moves with every optimiser step."""
        optimizer = build_optimizer(self.step.model, self.config, fused=self.fused)
        schedule = LambdaLR(optimizer, self.factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
