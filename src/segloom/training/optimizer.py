"""Optimisers: which parameters learn at which rate, and which decay."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from segloom.config.training import OptimConfig
from segloom.models import SegmentationModel
from segloom.training.layers import encoder_layers

__all__ = ["build_optimizer", "parameter_groups"]


def parameter_groups(model: SegmentationModel, config: OptimConfig) -> list[dict[str, object]]:
    """Divide the trainable parameters into encoder and rest, decayed and not.

    Biases and the parameters of normalisation layers, which have one axis, are not decayed unless
    ``decay_all`` asks for it.
    """
    adopted: Callable[[], list[nn.Parameter]] = getattr(model.decoder, "encoder_parameters", list)
    encoder = {id(parameter) for parameter in [*model.encoder.parameters(), *adopted()]}
    factors = _layer_factors(model, config.layer_decay)
    groups: dict[tuple[bool, bool, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decays = config.decay_all or parameter.ndim > 1
            key = (id(parameter) in encoder, decays, factors.get(id(parameter), 1.0))
            groups.setdefault(key, []).append(parameter)
    rates = {False: config.lr, True: config.encoder_lr or config.lr}
    own = config.encoder_weight_decay
    decay = {False: config.weight_decay, True: config.weight_decay if own is None else own}
    return [
        {
            "params": parameters,
            "lr": rates[is_encoder] * factor,
            "weight_decay": decay[is_encoder] if decays else 0.0,
        }
        # The rest comes last: its rate is the one that is shown.
        for (is_encoder, decays, factor), parameters in sorted(
            groups.items(), key=lambda item: item[0], reverse=True
        )
    ]


def _layer_factors(model: SegmentationModel, decay: float | None) -> dict[int, float]:
    """Map every pretrained weight to its factor, ``decay`` to the number of layers above its own.

    As Bao et al., "BEiT", ICLR 2022, and its followers fine-tune.
    """
    if decay is None:
        return {}
    last_first = enumerate(reversed(encoder_layers(model)))
    return {id(weight): decay**above for above, layer in last_first for weight in layer}


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
