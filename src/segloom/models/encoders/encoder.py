"""What networks and training ask of an encoder, and of a network of SMP's.

SMP's and timm's classes, which mypy does not read, have these members too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import nn

__all__ = ["Encoder", "SmpNetwork"]


class Encoder(nn.Module):
    """A module that maps an image to a list of feature maps; a subclass sets what holds of it."""

    out_channels: list[int]
    """Of every map."""
    output_stride: int
    """Of the deepest map, in pixels."""
    output_strides: Sequence[int]
    """Of every map, of a vision transformer, which has no map of the size of the image."""
    input_multiple: int
    """To which images must be padded, if that is not the stride."""
    input_size: Sequence[int]
    """Channels, height and width of the images, if it takes no others."""
    is_fixed_input_size: bool
    set_in_channels: Callable[..., None]
    """SMP calls this and the next once an encoder is built."""
    make_dilated: Callable[..., None]


class SmpNetwork(Protocol):
    """A network of SMP's, or a `Network` of ours."""

    encoder: Encoder
    decoder: nn.Module
    segmentation_head: nn.Module
