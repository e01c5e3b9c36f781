"""Weights of the networks whose results were recorded: each follows from its name."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["seeded"]


def seeded(key: str, shape: Sequence[int]) -> Tensor:
    """Draw the weight called ``key`` by the rule that the notes of the recorded arrays give."""
    random = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_mean"):
        values = 0.1 * random.randn(*shape)
    elif key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
        values = 0.5 + random.rand(*shape)
    elif len(shape) == 1:
        values = 0.1 * random.randn(*shape)
    else:
        values = random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:]))
    if key.endswith("_high_pass_filter.weight"):
        values = 0.02 * values + 1 / 81
    elif key.startswith("netScore") and key.endswith("weight"):
        values = 0.002 * values
    elif key == "Final_Output.weight":
        values = 0.01 * values
    return torch.from_numpy(values.astype(np.float32))
