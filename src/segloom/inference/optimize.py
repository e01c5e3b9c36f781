"""Making a network fast for inference without changing its answers.

A copy of the network is folded (`fold_batch_norms`), gets blocks with fewer operations
(`speed_up_blocks`), is laid out channels-last, in which convolutions run faster on a CPU, and is
cast to the precision that is asked for; on a CPU its weights are packed (`pack_convolutions`).
"""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import torch

from segloom.blocks.smp import speed_up_blocks
from segloom.errors import ConfigError
from segloom.inference.fold import fold_batch_norms
from segloom.inference.pack import pack_convolutions
from segloom.models.model import SegmentationModel
from segloom.processor import bfloat16_is_fast

__all__ = ["choose_device", "optimize"]


def choose_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Turn the option into a device; ``auto`` is the GPU where there is one.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "inference.device is cuda, but torch finds no GPU; use --inference.device cpu, or "
            "install a torch build with CUDA and a driver for it."
        )
    return torch.device(name)


def optimize(
    model: SegmentationModel, *, precision: Literal["fp32", "bf16"], device: torch.device
) -> SegmentationModel:
    """Return a copy of the network that is ready for inference; the original stays as it is.

    Batch norms are folded before the cast, which keeps bfloat16 closer to float32 than autocast.

    Raises:
        ConfigError: bfloat16 is asked of a processor or GPU that has no instructions for it.
    """
    copy: SegmentationModel = deepcopy(model).eval().requires_grad_(requires_grad=False)
    fold_batch_norms(copy)
    image = torch.zeros(1, copy.input_channels, 64, 64).to(next(copy.parameters()))
    speed_up_blocks(copy, lambda: copy(image), merge_upsampling=device.type == "cpu")
    if precision == "bf16":
        _check_bf16(device)
        copy = copy.to(torch.bfloat16)
    copy = copy.to(device).to(memory_format=torch.channels_last)
    if device.type == "cpu":
        pack_convolutions(copy)
    return copy


def _check_bf16(device: torch.device) -> None:
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = bfloat16_is_fast()
    if not has_bf16:
        raise ConfigError(
            f"inference.precision is bf16, but this {device.type} has no bfloat16 instructions, "
            "and without them it is slower than fp32; use --inference.precision fp32."
        )
