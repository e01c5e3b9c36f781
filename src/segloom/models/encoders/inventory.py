"""What to know of an encoder before it is chosen: its size, its cost, its licence, its decoders."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segloom.models.encoders.facts import encoder_facts
from segloom.models.networks.eomt import FAMILIES
from segloom.models.weights.licence import weights_licence

__all__ = ["EncoderDetails", "encoder_details"]

SIDE = 224
"""Pixels of a side of the image for encoders that name no size of their own."""


DILATED = ("pan", "deeplabv3", "deeplabv3plus", "dlse")
"""Architectures that dilate the encoder's last stages."""
DILATES = ("mobilenetv3",)
"""Modules of timm whose classes do so without naming the argument."""


class EncoderDetails(NamedTuple):
    """One encoder, without a classifier."""

    name: str
    parameters: int
    multiply_adds: int
    """Of the whole encoder for one image of ``side`` x ``side`` pixels."""
    side: int
    """The size that the weights were trained on."""
    licence: str | None
    """Of its default weights, as timm states it; None where it states none."""
    strides: tuple[int, ...]
    """Of its feature maps, in pixels."""
    decoders: str
    """What the architectures need to take it."""


def encoder_details(name: str) -> EncoderDetails:
    """Measure an encoder, on no memory for weights where its class allows that.

    Args:
        name: As in `list_encoders`.
    """
    try:
        parameters, operations, side, strides = _measure(name, "meta")
    except (RuntimeError, NotImplementedError):  # some compute with values as they build
        with torch.random.fork_rng(devices=[]):
            parameters, operations, side, strides = _measure(name, "cpu")
    return EncoderDetails(
        name, parameters, operations // 2, side, weights_licence(name), strides, _decoders(name)
    )


def _measure(name: str, device: str) -> tuple[int, int, int, tuple[int, ...]]:
    """Return parameters, operations (two per multiply-add), image side and strides."""
    with torch.device(device):
        model, side, strides = _build(name)
        image = torch.zeros(1, 3, side, side)
    model.eval().requires_grad_(False)
    # Without timm's pooling, which segmentation leaves out.
    run = getattr(model, "forward_features", model) if strides else model
    with FlopCounterMode(display=False) as counter:
        result = run(image)
    if not strides:  # SMP's own return their maps, of which the first is the image
        strides = tuple(side // map_.shape[-1] for map_ in result[1:] if map_.shape[1])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, counter.get_total_flops(), side, strides


def _build(name: str) -> tuple[nn.Module, int, tuple[int, ...]]:
    """Return an encoder, the side of its images and, of timm's, the strides."""
    import timm
    from segmentation_models_pytorch.encoders import get_encoder

    if name.startswith("tu-"):
        facts = encoder_facts(name.removeprefix("tu-"))
        model: nn.Module = timm.create_model(name.removeprefix("tu-"), num_classes=0)
        return model, facts.image_size, tuple(dict.fromkeys(facts.strides))
    return get_encoder(name, weights=None), SIDE, ()


def _decoders(name: str) -> str:
    """Describe which architectures take an encoder, and through what."""
    if not name.startswith("tu-"):
        return "all but dpt and eomt"
    facts = encoder_facts(name.removeprefix("tu-"))
    if facts.is_plain:
        direct = "dpt, linear" + (", eomt" if facts.family in FAMILIES else "")
        return f"{direct} as it is; others by a feature pyramid"
    refused = [
        "eomt",
        *(["linknetpaper"] if 2 not in facts.strides else []),
        *(["dpt"] if facts.family == "hiera" else []),
        *(() if "output_stride" in facts.arguments or facts.family in DILATES else DILATED),
    ]
    return f"all but {', '.join(refused)}"
