"""Small operations on a finished encoder that keep the names of its parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segloom.models.encoders.encoder import Encoder
from segloom.models.model import SegmentationModel

__all__ = [
    "freeze_unused",
    "freeze_unused_branches",
    "widen_first_convolution",
    "widen_first_weight",
]


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


def widen_first_weight(
    tensors: Mapping[str, Tensor], encoder: nn.Module, channels: int
) -> dict[str, Tensor]:
    """Let weights of a network that sees ``channels`` fit one whose first convolution was widened.

    Args:
        tensors: A state dict whose encoder's names begin with ``encoder.``.
        encoder: The widened encoder.
        channels: Of the image alone.
    """
    convolutions = ((n, m) for n, m in encoder.named_modules() if isinstance(m, nn.Conv2d))
    name, convolution = next(convolutions)
    key, own = f"encoder.{name}.weight", convolution.weight
    given = dict(tensors)
    if key in given and given[key].ndim == own.ndim and given[key].shape[1] == channels:
        zeros = given[key].new_zeros(own.shape[0], own.shape[1] - channels, *own.shape[2:])
        given[key] = torch.cat([given[key], zeros], dim=1)
    return given


def freeze_unused(encoder: Encoder, in_channels: int) -> None:
    """Stop training of parts that are built but never run.

    SMP's PSPNet takes three of five stages, and DPT leaves out its transformer's classifier. Such
    parts would fail distributed training, which waits for every gradient, and would be counted
    and decayed for nothing.
    """
    if getattr(encoder, "_depth", 0) >= 5:  # all stages run, and timm cuts off the rest
        return
    parameters = list(encoder.parameters())
    was_training = encoder.training
    encoder.eval()  # running statistics must not see this image
    with torch.enable_grad():
        encoded = encoder(torch.zeros(1, in_channels, *_small_size(encoder)))
        features = encoded[0] if isinstance(encoded, tuple) else encoded
        total = torch.stack([map_.sum() for map_ in features if map_.requires_grad]).sum()
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    encoder.train(was_training)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def freeze_unused_branches(model: SegmentationModel) -> None:
    """Stop training of the maps of a feature pyramid that no part of the model looks at.

    Args:
        model: A finished `SegmentationModel`; one without a pyramid is left as it is.
    """
    pyramid = getattr(model.encoder, "pyramid", None)
    if pyramid is None:
        return
    parameters, was_training = list(pyramid.parameters()), model.training
    model.eval()
    side = model.multiple * 2
    with torch.enable_grad():
        prediction = model.run(torch.zeros(1, model.input_channels, side, side))
        auxiliary = [map_ for maps in model.auxiliary_logits(prediction).values() for map_ in maps]
        total = torch.stack([map_.sum() for map_ in (prediction.logits, *auxiliary)]).sum()
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    model.train(was_training)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def _small_size(encoder: Encoder) -> tuple[int, int]:
    """Choose a small image size that the encoder takes, in pixels."""
    if getattr(encoder, "is_fixed_input_size", False):
        height, width = encoder.input_size[-2:]
        return height, width
    return (4 * encoder.output_stride,) * 2
