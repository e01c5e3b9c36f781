"""Plain vision transformers as encoders: one stride inside, a feature pyramid outside.

Axes: B batch, C image channels, D width of the transformer, H W image size, p patch in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Any

import timm
from torch import Tensor, nn

from segloom.blocks.feature_pyramid import SimpleFeaturePyramid
from segloom.models.encoders.encoder import Encoder
from segloom.models.encoders.facts import encoder_facts
from segloom.ops.resize import resize

__all__ = ["PatchScale", "PyramidEncoder", "TokenEncoder", "make_transformer", "token_stride"]

PYRAMID_CHANNELS = 256
"""Of every map of the pyramid: ViTDet, section 4."""


def token_stride(patch: int) -> int:
    """Return the power of two, 8 to 32, that stands for a patch size: 16 for the 14 of DINOv2."""
    return min((8, 16, 32), key=lambda stride: abs(log2(patch / stride)))


class PatchScale:
    """Scale an image so that each patch covers a power of two of the original's pixels.

    A patch of 14 pixels of the image scaled by 14 / 16 covers 16 pixels of the original, so maps
    have the strides that decoders expect, and the pretrained patch embedding stays as it is.

    Args:
        patch: p, in pixels.
        stride: Pixels of the original per patch.
    """

    def __init__(self, patch: int, stride: int) -> None:
        self.patch, self.stride = patch, stride

    def __call__(self, image: Tensor) -> Tensor:
        """Scale ``(B, C, H, W)``; H and W are multiples of the stride."""
        if self.patch == self.stride:
            return image
        height, width = image.shape[-2:]
        sides = (height // self.stride * self.patch, width // self.stride * self.patch)
        return resize(image, sides)

    def as_hook(self, module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        """Act before a module: torch's form of a forward pre-hook."""
        return (self(inputs[0]),)


def make_transformer(name: str, in_channels: int, **arguments: object) -> Any:
    """Build a plain transformer of timm with random weights, without classifier, for any size.

    Args:
        name: timm's name, without ``tu-``.
        in_channels: C.
        arguments: Further ones of timm's class.

    Raises:
        ValueError: timm gives no access to its inner maps.
    """
    model = timm.create_model(
        name, in_chans=in_channels, **{**encoder_facts(name).size_arguments(), **arguments}
    )
    if not hasattr(model, "forward_intermediates"):
        raise ValueError(f"timm hands out no inner maps of {name}.")
    model.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
    return model


class TokenEncoder(Encoder):
    """A plain transformer whose only map is its last, normalised.

    Args:
        name: timm's name, without ``tu-``.
        in_channels: C.
    """

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        facts = encoder_facts(name)
        self.output_stride = token_stride(facts.strides[-1])
        self.scale = PatchScale(facts.strides[-1], self.output_stride)
        self.model = make_transformer(name, in_channels)
        self.out_channels = [facts.channels[-1]]
        self.output_strides = [self.output_stride]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map ``(B, C, H, W)`` to one map, ``(B, D, h, w)``."""
        return last_map(self.model, self.scale(x))


def last_map(model: Any, x: Tensor) -> list[Tensor]:
    """Run a transformer of timm and return its last map, normalised, in a list."""
    maps: Sequence[Tensor] = model.forward_intermediates(
        x, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
    )
    return list(maps)


class PyramidEncoder(Encoder):
    """A plain transformer whose last map, normalised, becomes maps at the usual strides.

    Args:
        name: timm's name, without ``tu-``.
        in_channels: C.
        depth: Number of the deepest level: level l has stride ``2 ** l``.
        output_stride: No level has a larger stride than this.
        has_half: Whether level 1, at half the size, is a map too; else it has no channels.
        arguments: Further ones of timm's class.
    """

    fresh = ("pyramid.",)
    """Beginnings of the names that pretrained weights do not know."""

    def __init__(
        self,
        name: str,
        in_channels: int,
        *,
        depth: int = 5,
        output_stride: int = 32,
        has_half: bool = False,
        **arguments: object,
    ) -> None:
        super().__init__()
        facts = encoder_facts(name)
        patch, width = facts.strides[-1], facts.channels[-1]
        stride = token_stride(patch)
        self.name = name
        self.scale = PatchScale(patch, stride)
        self.model = make_transformer(name, in_channels, **arguments)
        strides = [min(2**level, output_stride) for level in range(1 if has_half else 2, depth + 1)]
        self.pyramid = SimpleFeaturePyramid(width, stride, strides, PYRAMID_CHANNELS)
        self.has_half = has_half or depth < 1
        self.output_stride = min(output_stride, 2**depth)
        self.input_multiple = max(self.output_stride, stride)
        hidden = [] if self.has_half else [0]
        self.out_channels = [in_channels, *hidden, *[PYRAMID_CHANNELS] * len(strides)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map ``(B, C, H, W)`` to levels 0 to ``depth``; level 0 is the image."""
        levels = self.pyramid(last_map(self.model, self.scale(x))[-1])
        if self.has_half:
            return [x, *levels]
        batch, _, height, width = x.shape
        return [x, x.new_empty(batch, 0, height // 2, width // 2), *levels]
