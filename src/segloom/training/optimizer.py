"""Optimisers: which parameters learn at which rate, and which decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from segloom.config.training import OptimConfig
from segloom.models import SegmentationModel

__all__ = ["build_optimizer", "parameter_groups"]


def parameter_groups(model: SegmentationModel, config: OptimConfig) -> list[dict[str, Any]]:
    """Divide the trainable parameters into encoder and rest, decayed and not.

    Biases and the parameters of normalisation layers, which have one axis, are not decayed unless
    ``decay_all`` asks for it.
    """
    encoder = {id(parameter) for parameter in model.encoder.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            key = (id(parameter) in encoder, config.decay_all or parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    rates = {False: config.lr, True: config.encoder_lr or config.lr}
    own = config.encoder_weight_decay
    decay = {False: config.weight_decay, True: config.weight_decay if own is None else own}
    return [
        {
            "params": parameters,
            "lr": rates[is_encoder],
            "weight_decay": decay[is_encoder] if decays else 0.0,
        }
        # The rest comes last: its rate is the one that is shown.
        for (is_encoder, decays), parameters in sorted(
            groups.items(), key=lambda item: item[0], reverse=True
        )
    ]


def build_optimizer(
    model: SegmentationModel, config: OptimConfig, *, fused: bool = True
) -> torch.optim.Optimizer:
    """Build the optimiser over the model's trainable parameters; RMSprop is never fused."""
    groups = parameter_groups(model, config)
    if config.name == "adamw":
        return torch.optim.AdamW(groups, fused=fused)
    if config.name == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, fused=fused)
    return torch.optim.RMSprop(groups, momentum=config.momentum)
