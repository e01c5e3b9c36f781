"""Options of the losses, the optimiser and the training run."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from segloom.config.base import Section, pairs
from segloom.config.data import check_crop, check_scale

__all__ = ["LossConfig", "OptimConfig", "RateTestConfig", "StageConfig", "TrainConfig"]


class LossConfig(Section):
    """A weighted sum of losses; void pixels never count."""

    terms: Annotated[dict[str, float], pairs(float, "[NAME WEIGHT]")] = Field(
        default_factory=lambda: {"cross_entropy": 1.0}
    )
    """Weight of each loss by name, with options if need be ("focal:gamma=3"); the name of an
    attached enhancement sets the weight of its auxiliary loss."""
    class_weights: Literal[
        "none", "auto", "log", "log2", "log_max", "inverse", "median", "effective"
    ] = "none"
    """Class weights of the losses that average over pixels (cross_entropy, focal, ohem, boundary,
    bce), from the training labels; log is 1 / ln(1.02 + p), log2 has the binary logarithm, and
    log_max divides by the largest class. auto is none for two classes and the root of log for
    more."""
    class_weight_power: float = Field(1.0, gt=0, le=2)
    """Exponent of the class weights: below 1 evens them out, so that thin classes are found without
    being painted over their neighbours."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the cross-entropy's target spread evenly over the classes."""

    @field_validator("terms")
    @classmethod
    def _check_weights(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if not (isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of {name} must be 0 or more, not {weight}")
        if not any(value.values()):
            raise ValueError("at least one loss needs a weight above 0")
        return value


class OptimConfig(Section):
    """Optimiser and learning-rate schedule."""

    name: Literal["adamw", "sgd", "rmsprop"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    """Learning rate of the decoder, the head and the enhancements."""
    encoder_lr: float | None = Field(None, gt=0)
    """Learning rate of the encoder; None is the same as lr."""
    layer_decay: float | None = Field(None, gt=0, lt=1)
    """Factor between the rates of one layer of the encoder (a block of a transformer, a stage of
    another network) and the next: the last learns at encoder_lr, the first slowest; None is 1."""
    weight_decay: float = Field(1e-2, ge=0)
    """Not applied to biases and normalisation layers, but see decay_all."""
    encoder_weight_decay: float | None = Field(None, ge=0)
    """That of the encoder; None is the same as weight_decay."""
    decay_all: bool = False
    """Decay biases and normalisation layers too, as the SFNet and FENet programs do."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD and RMSprop."""
    schedule: Literal["poly", "cosine", "onecycle", "constant"] = "poly"
    power: float = Field(0.9, gt=0)
    """Exponent of the poly schedule (DeepLab, section 4.1)."""
    poly_by: Literal["step", "epoch", "epoch_ahead"] = "step"
    """When the poly schedule moves: with every step, with every epoch, or, as in the SFNet and
    FENet programs, before every epoch, so that the last one learns at a rate of 0."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of all steps over which the rate rises: linearly from 1 %, for one-cycle on half a
    cosine from 4 % (0 is the usual 30 % there)."""
    clip: float | None = Field(None, gt=0)
    """Largest norm of the gradient; None does not clip."""


class StageConfig(Section):
    """One of several parts of a training; what is None is as in the rest of the configuration."""

    epochs: int | None = Field(None, ge=1)
    """None is an equal share of what the other stages leave of train.epochs."""
    crop: tuple[int, int] | None = None
    """Instead of data.crop."""
    batch_size: int | None = Field(None, ge=1)
    """Instead of data.batch_size."""
    scale: tuple[float, float] | None = None
    """Range of the random scale, instead of data.augment.scale."""

    @field_validator("crop")
    @classmethod
    def _check_crop(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        return check_crop(value)

    @field_validator("scale")
    @classmethod
    def _check_scale(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if value is None else check_scale(value)


class TrainConfig(Section):
    """Length, precision and bookkeeping of one training run."""

    out: Path | None = None
    """Run directory; None is runs/<recipe>-<architecture>-<encoder>[-<enhancements>]."""
    epochs: int = Field(50, ge=0)
    """Passes over the training set; 0 takes what fits the number of its images."""
    stages: tuple[StageConfig, ...] = ()
    """Parts of the training, one after the other, each with its own crop, batch size and scale."""
    steps_per_epoch: int | None = Field(None, ge=1)
    """Optimiser steps per epoch, at most one pass; None is one pass over the training set."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the initial weights, the order of the images, their augmentation and dropout."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Of the network's arithmetic; weights, losses and the optimiser stay fp32. auto is bf16 where
    the GPU or the processor (AVX512-BF16, AMX) computes it, else fp32; fp16 needs a GPU."""
    accumulate: int = Field(1, ge=1)
    """Parts into which batch_size is divided, one after the other, to need less memory."""
    checkpoint_activations: bool = False
    """Recompute the feature maps of encoder and decoder for the gradient instead of keeping them:
    less memory, more time, the same numbers."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the moving average of the weights, which is then what is validated and kept as
    best and last; None keeps none."""
    frozen_epochs: int = Field(0, ge=0)
    """First epochs, in which the pretrained layers of the encoder stay as they are."""
    unfreeze_every: int | None = Field(None, ge=1)
    """Epochs after which one more of these layers learns, the last one first; None lets all learn
    after frozen_epochs."""
    cache_features: bool = False
    """Keep the maps of a frozen encoder in memory instead of computing them in every epoch; needs
    images that random augmentation leaves as they are."""
    early_stop: int | None = Field(None, ge=1)
    """Stop after this many epochs without a better validation mIoU."""
    devices: int = Field(1, ge=1)
    """Processes (CPU) or GPUs, which divide every batch among them; under torchrun the number of
    its processes, for which 1 stands too."""
    sync_batchnorm: bool = True
    """Let batch normalisation see the batch of all processes instead of each its own share."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    threads: int | None = Field(None, ge=1)
    """Threads of torch on the CPU, for all processes together; None leaves torch's own."""
    channels_last: bool = True
    """Keep the channels of a pixel together in memory, the faster way for most networks."""
    deterministic: bool = True
    """Refuse operations that give a different result in a second run."""
    validate_every: int = Field(1, ge=1)
    """Epochs between two validations; the last epoch is always validated."""
    tensorboard: bool = True
    """Write events for TensorBoard beside metrics.csv and metrics.jsonl."""
    resume: bool = False
    """Go on with the run in out, from its last saved state."""
    overwrite: bool = False
    """Replace the run in out."""

    def stage_lengths(self) -> tuple[int, ...]:
        """Epochs of every stage; without stages the whole training is one.

        Raises:
            ValueError: They do not add up to ``epochs``.
        """
        named = [stage.epochs for stage in self.stages] or [None]
        left, unnamed = self.epochs - sum(filter(None, named)), named.count(None)
        if left < unnamed or (left and not unnamed):
            raise ValueError(
                f"epochs is {self.epochs}, but the {len(named)} stages take "
                f"{'at least ' if unnamed else ''}{self.epochs - left + unnamed}; change either"
            )
        shares = [left // unnamed + (place < left % unnamed) for place in range(unnamed)]
        return tuple(shares.pop(0) if length is None else length for length in named)

    @model_validator(mode="after")
    def _check_stages(self) -> TrainConfig:
        if self.epochs or self.stages:
            self.stage_lengths()
        return self


class RateTestConfig(Section):
    """A learning-rate range test: how many steps, from which rate to which."""

    steps: int = Field(100, ge=20)
    """Optimiser steps, each at a higher rate."""
    lowest: float = Field(1e-6, gt=0)
    """Rate of the first step."""
    highest: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Rate of the last step; the test ends earlier once the loss runs away."""

    @model_validator(mode="after")
    def _check_order(self) -> RateTestConfig:
        if self.lowest >= self.highest:
            raise ValueError(f"rates rise from lowest {self.lowest:g} to highest {self.highest:g}")
        return self
