"""The layers of an encoder in their order, for rates and unfreezing that go layer by layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from torch import nn

from segloom.models import SegmentationModel

__all__ = ["encoder_layers"]

LAYER = re.compile(r"(?:.*?[._])?(?:layers?|stages?|blocks?)[._]?\d+(?=[._])")
"""Beginning of the name of a parameter that belongs to a numbered block or stage."""


def encoder_layers(model: SegmentationModel) -> list[list[nn.Parameter]]:
    """Divide the trainable weights that an encoder brings along into layers, the first one first.

    A layer is a block of a transformer or a stage of another network; what stands before the first
    (patches, positions, stem) is the first layer, and what stands after one goes with it. Layers
    that are new, as those of a feature pyramid, are not among them, and blocks that a decoder took
    over from the encoder follow on.

    Args:
        model: Any network.
    """
    layers: dict[str, list[nn.Parameter]] = {"": []}
    current = ""
    for name, parameter in _brought_along(model):
        match = LAYER.match(name)
        current = match[0] if match else current
        if parameter.requires_grad:
            layers.setdefault(current, []).append(parameter)
    return [parameters for parameters in layers.values() if parameters]


def _brought_along(model: SegmentationModel) -> Iterator[tuple[str, nn.Parameter]]:
    """Name the weights that are not new, and those that a decoder took over, in their order."""
    fresh: tuple[str, ...] = getattr(model.encoder, "fresh", ())
    for name, parameter in model.encoder.named_parameters():
        if not name.startswith(fresh):
            yield name, parameter
    adopted: Callable[[], list[nn.Parameter]] = getattr(model.decoder, "encoder_parameters", list)
    own = {id(parameter) for parameter in adopted()}
    for name, parameter in model.decoder.named_parameters():
        if id(parameter) in own:
            yield f"decoder.{name}", parameter
