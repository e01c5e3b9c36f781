"""A moving average of the weights, validated and saved in their place.

Own code where Lightning's callback averages a copy of the whole task, starts from the random
weights at full decay, and keeps the average of one process's statistics only.
Paper: Polyak and Juditsky, SIAM J. Control Optim. 30(4), 1992; the decay rises as in TensorFlow's
moving average: ``min(decay, (1 + n) / (10 + n))`` after n updates.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from segloom.training.callbacks.hook import Hook
from segloom.training.distributed.group import average_over_processes

__all__ = ["WeightAverage"]


class _State(TypedDict):
    average: dict[str, Tensor]
    updates: int
    steps: int


class WeightAverage(Hook):
    """Keep the average beside the weights; its state is part of the trainer's checkpoint.

    Parameters and running statistics are averaged; counters are copied.

    Args:
        model: What is averaged.
        decay: Share of the old average in the new one, once the start is over.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.average: dict[str, Tensor] = {}
        self.kept: dict[str, Tensor] = {}
        self.updates = 0
        self.steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the weights, or move a loaded average to where they are."""
        source = self.average or self.model.state_dict()
        current = self.model.state_dict()
        self.average = {
            name: value.detach().to(current[name].device, copy=True)
            for name, value in source.items()
        }

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Update after every optimiser step."""
        if trainer.global_step == self.steps:
            return
        self.steps = trainer.global_step
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in place."""
        if self.average:
            average_over_processes(self.average.values())
            self._swap_in()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights back."""
        self._swap_out()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model hold the average inside the block."""
        self._swap_in()
        try:
            yield
        finally:
            self._swap_out()

    def state_dict(self) -> _State:
        """Return the average and its age."""
        return {"average": self.average, "updates": self.updates, "steps": self.steps}

    def load_state_dict(self, state_dict: _State) -> None:
        """Take them back."""
        self.average = state_dict["average"]
        self.updates, self.steps = state_dict["updates"], state_dict["steps"]

    def _swap_in(self) -> None:
        current = self.model.state_dict()
        self.kept = {name: value.clone() for name, value in current.items()}
        self._write(self.average)

    def _swap_out(self) -> None:
        self._write(self.kept)
        self.kept = {}

    @torch.no_grad()
    def _write(self, values: dict[str, Tensor]) -> None:
        current = self.model.state_dict()
        for name, value in values.items():
            current[name].copy_(value)
