"""Less memory for more time: feature maps recomputed for the gradient.

Paper: Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174, 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from segloom.errors import ConfigError
from segloom.models import SegmentationModel
from segloom.training.callbacks.hook import Hook

__all__ = ["OnceUpdated", "checkpoint_activations"]

LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Modules that hold blocks."""


def checkpoint_activations(model: SegmentationModel, encoder_name: str) -> None:
    """Keep only the maps between the blocks of encoder and decoder; gradients stay the same.

    timm's encoders divide themselves; of others, and of decoders, the elements of lists, sequences
    and dictionaries are blocks. A decoder without any is computed once.

    Args:
        model: Changed in place; use it with `OnceUpdated`.
        encoder_name: For the message.

    Raises:
        ConfigError: The encoder has no blocks, or timm offers none for it.
    """
    if hasattr(model.encoder, "model"):
        is_divided = _divided_by_timm(model.encoder.model)
    else:
        is_divided = _compute_twice(model.encoder)
    if not is_divided:
        raise ConfigError(
            f"the encoder {encoder_name} has no blocks that could be computed twice; leave "
            "train.checkpoint_activations out, or raise train.accumulate to save memory."
        )
    _compute_twice(model.decoder)


def _compute_twice(module: nn.Module) -> bool:
    """Recompute every block of a module for the gradient, and say whether there are any."""
    blocks = list(_blocks(module))
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    return bool(blocks)


def _divided_by_timm(network: object) -> bool:  # mypy does not read timm
    """Switch timm's own checkpoints on, and say whether it has them for this network."""
    while not hasattr(network, "set_grad_checkpointing"):
        network = getattr(network, "model", None)  # a transformer stands in a getter of features
        if network is None:
            return False
    try:
        network.set_grad_checkpointing(True)
    except AssertionError:  # how timm refuses
        return False
    return True


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    is_list = isinstance(module, LISTS)
    for child in module.children():
        # A single layer keeps what it needs anyway.
        is_block = any(True for _ in child.children())
        if is_list and is_block and not isinstance(child, LISTS):
            yield child
        else:
            yield from _blocks(child)


class OnceUpdated(Hook):
    """Undo what the second computation does to running statistics.

    Args:
        model: Whose buffers are kept over every backward pass.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.kept: list[Tensor] = []

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Note them."""
        self.kept = [buffer.clone() for buffer in self.model.buffers()]

    @torch.no_grad()
    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put them back."""
        for buffer, kept in zip(self.model.buffers(), self.kept, strict=True):
            buffer.copy_(kept)
        self.kept = []
