"""Options of the losses, the optimiser and the training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from segloom.config.base import Section, pairs

__all__ = ["LossConfig", "OptimConfig", "TrainConfig"]


class LossConfig(Section):
    """A weighted sum of losses; void pixels never count."""

    terms: Annotated[dict[str, float], pairs(float, "[NAME WEIGHT]")] = Field(
        default_factory=lambda: {"cross_entropy": 1.0}
    )
    """Weight of each loss by name; an enhancement's name sets the weight of its auxiliary loss."""
    class_weights: Literal["none", "log", "inverse", "median", "effective"] = "none"
    """Class weights of the cross-entropy from the training labels; log is 1 / ln(1.02 + p)."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target spread evenly over the classes."""


class OptimConfig(Section):
    """Optimiser and learning-rate schedule."""

    name: Literal["adamw", "sgd", "rmsprop"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    """Learning rate of the decoder, the head and the enhancements."""
    encoder_lr: float | None = Field(None, gt=0)
    """Learning rate of the encoder; None is the same as lr."""
    weight_decay: float = Field(1e-2, ge=0)
    """Not applied to biases and normalisation layers."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD and RMSprop."""
    schedule: Literal["poly", "cosine", "onecycle", "constant"] = "poly"
    power: float = Field(0.9, gt=0)
    """Exponent of the poly schedule (DeepLab, section 4.1)."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of all steps over which the rate rises linearly from 1 % (one-cycle: its rise)."""
    clip: float | None = Field(None, gt=0)
    """Largest norm of the gradient; None does not clip."""


class TrainConfig(Section):
    """Length, precision and bookkeeping of one training run."""

    out: Path | None = None
    """Run directory; None is runs/<recipe>-<architecture>-<enhancements>."""
    epochs: int = Field(50, ge=1)
    steps_per_epoch: int | None = Field(None, ge=1)
    """Optimiser steps per epoch; None is one pass over the training set."""
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are summed before a step; batch_size is their sum."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the moving average of the weights; None keeps none."""
    early_stop: int | None = Field(None, ge=1)
    """Stop after this many epochs without a better validation mIoU."""
    devices: int = Field(1, ge=1)
    """Processes (CPU) or GPUs."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    channels_last: bool = True
    """Memory format of the network on CPU and GPU."""
    deterministic: bool = True
    """Refuse operations that give a different result in a second run."""
    validate_every: int = Field(1, ge=1)
    """Epochs between two validations."""
    tensorboard: bool = True
    resume: bool = False
    """Go on with the run in out, from its last checkpoint."""
    overwrite: bool = False
    """Replace the run in out."""
