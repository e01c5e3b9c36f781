"""How an epoch is divided: batches per process, optimiser steps, and what is left over."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import ceil

import torch

from segloom.config.run import RunConfig
from segloom.errors import ConfigError, DataError
from segloom.models import SegmentationModel

__all__ = ["BatchPlan", "check_single_sample", "plan_batches"]


@dataclass(frozen=True)
class BatchPlan:
    """The shape of one epoch."""

    batch_size: int
    """Samples per process and accumulation part."""
    num_batches: int
    """Batches per process and epoch."""
    num_steps: int
    """Optimiser steps per epoch."""
    drop_last: bool
    """An incomplete last batch of one sample is left out of the epoch."""
    smallest: int
    """Samples of the smallest batch, as a batch normalisation sees it."""


def plan_batches(config: RunConfig, num_samples: int) -> BatchPlan:
    """Divide ``data.batch_size`` over processes and accumulation, and the samples into batches.

    A last batch of a single sample is left out (the order changes every epoch, so no sample always
    is): its batch statistics would be those of one image, and several networks cannot take it.
    Processes that share their statistics (``train.sync_batchnorm``) never are down to one.

    Args:
        config: The whole configuration.
        num_samples: Training samples.

    Raises:
        ConfigError: The batch cannot be divided.
        DataError: There are fewer samples than processes.
    """
    train, total = config.train, config.data.batch_size
    parts = train.devices * train.accumulate
    if total % parts:
        raise ConfigError(
            f"data.batch_size {total} cannot be divided over train.devices {train.devices} x "
            f"train.accumulate {train.accumulate}; take a multiple of {parts}."
        )
    batch_size = total // parts
    if num_samples < train.devices:
        raise DataError(
            f"the training split has {num_samples} images for {train.devices} process(es); check "
            "data.root, or lower train.devices."
        )
    share = ceil(num_samples / train.devices)  # every process takes equally many
    full, rest = divmod(share, batch_size)
    seen_together = train.devices if train.sync_batchnorm else 1
    drop_last = rest * seen_together == 1 and batch_size > 1 and full > 0
    num_batches = full + (rest > 0 and not drop_last)
    num_steps = ceil(num_batches / train.accumulate)
    if train.steps_per_epoch is not None:
        num_steps = min(num_steps, train.steps_per_epoch)
        num_batches = min(num_batches, num_steps * train.accumulate)
    smallest = rest if rest and not drop_last else batch_size
    return BatchPlan(batch_size, num_batches, num_steps, drop_last, smallest * seen_together)


def check_single_sample(model: SegmentationModel, size: tuple[int, int], name: str) -> None:
    """Find out whether the network trains on a batch of one image of this height and width.

    It is tried on a copy, since only that tells for every encoder, enhancement and size.

    Raises:
        ConfigError: It does not.
    """
    trial = copy.deepcopy(model).train()
    try:
        with torch.no_grad():
            trial(torch.zeros(1, model.input_channels, *size))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            f"{name} cannot train on a batch of one image of {size[0]} x {size[1]} pixels: a batch "
            "normalisation sees a single value per channel; set data.batch_size to 2 or more per "
            "process and accumulation part (and have as many training images)."
        ) from error
