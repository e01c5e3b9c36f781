"""Small operations on a finished encoder that keep the names of its parameters."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["freeze_unused", "widen_first_convolution"]


def widen_first_convolution(encoder: nn.Module, extra_channels: int) -> None:
    """Let the first convolution take more channels, with zero weights for the new ones.

    The outputs for the old channels stay bit-equal whatever the new ones hold.
    """
    if extra_channels == 0:
        return
    old = next(module for module in encoder.modules() if isinstance(module, nn.Conv2d))
    weight = old.weight.detach()
    zeros = weight.new_zeros(weight.shape[0], extra_channels, *weight.shape[2:])
    old.weight = nn.Parameter(torch.cat([weight, zeros], dim=1))
    old.in_channels += extra_channels


def freeze_unused(encoder: nn.Module, in_channels: int) -> None:
    """Stop training of stages that are built but never run.

    SMP's PSPNet takes three of five stages; the others would fail distributed training, which
    waits for every gradient, and would be counted and decayed for nothing.
    """
    depth = getattr(encoder, "_depth", 5)
    if depth >= 5 or not hasattr(encoder, "get_stages"):
        return
    used = {id(parameter) for parameter in _run_parameters(encoder, in_channels)}
    for parameter in encoder.parameters():
        parameter.requires_grad_(id(parameter) in used)


def _run_parameters(encoder: nn.Module, in_channels: int) -> list[nn.Parameter]:
    parameters = list(encoder.parameters())
    was_training = encoder.training
    encoder.eval()  # running statistics must not see this image
    with torch.enable_grad():
        features = encoder(torch.zeros(1, in_channels, 64, 64))
        total = sum(feature.sum() for feature in features[1:])
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    encoder.train(was_training)
    return [p for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None]
