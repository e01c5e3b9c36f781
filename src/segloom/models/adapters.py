"""LoRA: small matrices beside the linear layers of a frozen transformer, by peft.

Paper: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022: a layer computes
``W x + (alpha / r) B A x`` with B of zeros at first; here alpha = 2 r. Saved models hold W plus the
product, under the names of the network without adapters: they open without peft.
Axes: r rank.
"""

from __future__ import annotations

import re

from torch import Tensor, nn

from segloom.errors import ConfigError
from segloom.models.model import SegmentationModel

__all__ = ["add_lora", "merged_state"]

ADAPTER = "default"
"""peft's name of the only adapter."""


def add_lora(model: SegmentationModel, rank: int) -> None:
    """Freeze what an encoder brings along and put adapters beside its linear layers, in place.

    New layers of the encoder, as those of a feature pyramid, go on learning.

    Args:
        model: On a transformer; blocks that a decoder took over get adapters too.
        rank: r.

    Raises:
        ConfigError: peft is not installed, or the encoder has no linear layers in its blocks.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            "model.lora needs peft; install it with `pip install 'segloom[lora]'`."
        ) from error
    parts = [model.encoder]
    if hasattr(model.decoder, "encoder_parameters"):
        parts.append(model.decoder.get_submodule("blocks"))
    names = [_linear_names(part) for part in parts]
    if not any(names):
        raise ConfigError(
            "model.lora adapts the linear layers of a transformer, and "
            f"{model.spec['encoder_name']} has none; take a transformer such as "
            "tu-vit_small_patch14_dinov2, or leave it out."
        )
    _freeze_brought_along(model)
    for part, targets in zip(parts, names, strict=True):
        learning = [p for p in part.parameters() if p.requires_grad]
        if targets:
            options = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets)
            inject_adapter_in_model(options, part, adapter_name=ADAPTER)
        for parameter in learning:  # peft freezes all but its own
            parameter.requires_grad = True


def _freeze_brought_along(model: SegmentationModel) -> None:
    fresh: tuple[str, ...] = getattr(model.encoder, "fresh", ())
    for name, parameter in model.encoder.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name.startswith(fresh))
    for parameter in getattr(model.decoder, "encoder_parameters", list)():
        parameter.requires_grad = False


def merged_state(model: SegmentationModel) -> dict[str, Tensor]:
    """Return a state dict without adapters, whose weights hold what those add."""
    state = dict(model.state_dict())
    for name, module in model.named_modules():
        layer: object = module
        if hasattr(layer, "get_delta_weight") and hasattr(layer, "base_layer"):
            key = f"{name}.base_layer.weight"
            state[key] = state[key] + layer.get_delta_weight(ADAPTER)
    return {
        name.replace(".base_layer.", "."): value
        for name, value in state.items()
        if not re.search(r"\.lora_[A-Za-z_]+\.", name)
    }


def _linear_names(part: nn.Module) -> list[str]:
    """Name the linear layers inside numbered blocks."""
    modules = part.named_modules()
    return [n for n, m in modules if isinstance(m, nn.Linear) and re.search(r"(^|[._])\d+\.", n)]
