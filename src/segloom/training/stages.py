"""A training in stages, each with its own crop, batch size and scale, from the last one's weights.

As the DLSE program trains, in three sizes one after the other, every stage begins the schedule and
the optimiser's moments anew. Difference: a stage goes on from the last weights of the one before,
not from a checkpoint that somebody chose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lightning.pytorch import LightningModule, Trainer

from segloom.config.run import RunConfig
from segloom.training.batches import plan_batches
from segloom.training.callbacks.hook import Hook
from segloom.training.schedule import rate_factor

__all__ = ["FreshOptimizer", "Stage", "divide_stages", "rate_function"]


@dataclass(frozen=True)
class Stage:
    """One part of a training; most trainings have but one."""

    config: RunConfig
    """The whole configuration, with the crop, batch size and scale of this stage."""
    number: int
    """From 1."""
    count: int
    """Stages of the training."""
    start: int
    """Epochs before this stage."""
    end: int
    """Epochs up to its end."""

    @property
    def title(self) -> str:
        """``stage 2/3, ``, or nothing for a training of one stage."""
        return f"stage {self.number}/{self.count}, " if self.count > 1 else ""


def divide_stages(config: RunConfig) -> list[Stage]:
    """Divide a training into its stages; without ``train.stages`` the whole is one."""
    ends = list(accumulate(config.train.stage_lengths()))
    stages = []
    for number, end in enumerate(ends):
        changes: dict[str, object] = {}
        if config.train.stages:
            options = config.train.stages[number]
            given = {"crop": options.crop, "batch_size": options.batch_size}
            changes = {name: value for name, value in given.items() if value is not None}
            if options.scale is not None:
                changes["augment"] = config.data.augment.model_copy(update={"scale": options.scale})
        data = config.data.model_copy(update=changes)
        own = config.model_copy(update={"data": data})
        start = ends[number - 1] if number else 0
        stages.append(Stage(own, number + 1, len(ends), start, end))
    return stages


def rate_function(stages: Sequence[Stage], num_samples: int) -> Callable[[int], float]:
    """Make the function from the optimiser steps already taken to the learning-rate multiplier.

    Args:
        stages: Of the whole training.
        num_samples: Training samples.
    """
    lengths = [stage.end - stage.start for stage in stages]
    steps = [
        plan_batches(stage.config, num_samples).num_steps * epochs
        for stage, epochs in zip(stages, lengths, strict=True)
    ]

    def factor(step: int) -> float:
        stage = 0
        while step >= steps[stage] and stage + 1 < len(steps):
            step -= steps[stage]
            stage += 1
        return rate_factor(stages[stage].config.optim, step, steps[stage], lengths[stage])

    return factor


class FreshOptimizer(Hook):
    """Begin a stage without the moments of the one before."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what the saved state brought along."""
        for optimizer in trainer.optimizers:
            optimizer.state.clear()
