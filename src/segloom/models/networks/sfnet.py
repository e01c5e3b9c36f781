"""SFNet and SFNet-Lite: a feature pyramid whose maps are aligned by learnt flows.

Papers: Li et al., "Semantic Flow for Fast and Accurate Scene Parsing", ECCV 2020; Li et al.,
"SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow", IJCV 2024 (Lite).

    SFNet   f5 = PPM(C5);  f_i = l_i + FAM(l_i, f_{i+1}) with l_i = ReLU(BN(conv1x1(C_i))), i 4 3 2
            out = conv3x3([P2, up(P3), up(P4), up(f5)]) with P_i = ReLU(BN(conv3x3(f_i)))
    Lite    out = conv3x3([GD-FAM(l_2, PPM(C5)), up(l_4)])

As in the released programs, the last fusion resizes plainly, where figure 2 of the paper shows
flow alignment.
Axes: B batch, K channels of the pyramid, h w size at stride 4. C2 to C5 are the encoder's maps at
strides 4 to 32, here level 2 to 5.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from segloom.blocks.conv import conv_norm_relu
from segloom.blocks.flow import FlowJoin, GatedDualFlowAlign
from segloom.models.architectures import Network
from segloom.models.networks.context import PyramidPooling
from segloom.models.networks.encoders import make_pyramid_encoder
from segloom.models.networks.head import stride_4_head
from segloom.ops.resize import resize

__all__ = ["SFNetDecoder", "SFNetLiteDecoder", "sfnet", "sfnet_lite"]


class PlainJoin(nn.Module):
    """The top-down fusion of a feature pyramid without alignment: ``low + up(high)``."""

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Join ``(B, K, H, W)`` and ``(B, K, h, w)`` into ``(B, K, H, W)``."""
        return low + resize(high, low.shape[-2:])


class SFNetDecoder(nn.Module):
    """The aligned pyramid over four maps.

    Args:
        encoder_channels: Of C2, C3, C4 and C5.
        channels: K.
        align: Fuse along a flow; False is the plain pyramid, UPerNet's.
        context: Form of the pyramid pooling.
    """

    def __init__(
        self,
        encoder_channels: list[int],
        channels: int,
        *,
        align: bool = True,
        context: Literal["sfnet", "sum"] = "sfnet",
    ) -> None:
        super().__init__()
        *laterals, deepest = encoder_channels
        self.context = PyramidPooling(deepest, channels, context)
        # From fine to coarse: stride 4, 8, 16.
        self.laterals = nn.ModuleList(conv_norm_relu(c, channels, 1, bias=True) for c in laterals)
        self.joins = nn.ModuleList(FlowJoin(channels) if align else PlainJoin() for _ in laterals)
        self.smooth = nn.ModuleList(conv_norm_relu(channels, channels, 3) for _ in laterals)
        self.fuse = conv_norm_relu(channels * len(encoder_channels), channels, 3)
        self.pyramid_channels = (channels,) * len(laterals)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Decode the encoder's maps.

        Returns:
            ``(B, K, h, w)``, and the fused maps f4, f3, f2, on which auxiliary heads may sit.
        """
        *fine, deepest = features[-4:]
        joined: Tensor = self.context(deepest)
        outputs, pyramid = [joined], []
        for lateral, join, smooth, feature in zip(
            self.laterals[::-1],
            self.joins[::-1],
            self.smooth[::-1],
            fine[::-1],
            strict=True,
        ):
            joined = join(lateral(feature), joined)
            pyramid.append(joined)
            outputs.append(smooth(joined))
        size = outputs[-1].shape[-2:]
        resized = [outputs[-1], *(resize(output, size) for output in reversed(outputs[:-1]))]
        return self.fuse(torch.cat(resized, dim=1)), pyramid


class SFNetLiteDecoder(nn.Module):
    """One gated alignment between the finest map and the pooled context.

    Args:
        encoder_channels: Of C2, C3, C4 and C5; C3 is not used.
        channels: K.
        context: Form of the pyramid pooling.
    """

    def __init__(
        self,
        encoder_channels: list[int],
        channels: int,
        *,
        context: Literal["sfnet", "sum"] = "sfnet",
    ) -> None:
        super().__init__()
        c2, _, c4, c5 = encoder_channels
        self.context = PyramidPooling(c5, channels, context)
        self.fine = conv_norm_relu(c2, channels, 1, bias=True)
        self.middle = conv_norm_relu(c4, channels, 1, bias=True)
        self.align = GatedDualFlowAlign(channels)
        self.fuse = conv_norm_relu(2 * channels, channels, 3)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Decode the encoder's maps into ``(B, K, h, w)``."""
        c2, _, c4, c5 = features[-4:]
        middle: Tensor = self.middle(c4)
        aligned = self.align(self.fine(c2), self.context(c5))
        out: Tensor = self.fuse(torch.cat([aligned, resize(middle, aligned.shape[-2:])], dim=1))
        return out


def sfnet(
    encoder_name: str,
    in_channels: int,
    classes: int,
    *,
    pyramid_channels: Annotated[int, Field(ge=2)] = 128,
    align: bool = True,
    context: Literal["sfnet", "sum"] = "sfnet",
    dilate: bool | None = None,
) -> Network:
    """Build SFNet with random weights.

    Args:
        encoder_name: Any encoder with maps at strides 4 to 32.
        in_channels: Channels of the image.
        classes: Number of classes.
        pyramid_channels: K; 128 for ResNet-18 in the released program, 256 for ResNet-50 and 101.
            Flows are found on half of them.
        align: False builds the plain pyramid, the baseline.
        context: ``sum`` for the pyramid pooling of the lightest variants.
        dilate: None dilates the last stages of a ResNet, as released; see `make_pyramid_encoder`.
    """
    encoder = make_pyramid_encoder(encoder_name, in_channels, dilate=dilate)
    decoder = SFNetDecoder(encoder.out_channels[2:], pyramid_channels, align=align, context=context)
    return Network(encoder, decoder, stride_4_head(pyramid_channels, classes))


def sfnet_lite(
    encoder_name: str,
    in_channels: int,
    classes: int,
    *,
    pyramid_channels: Annotated[int, Field(ge=2)] = 128,
    context: Literal["sfnet", "sum"] = "sfnet",
    dilate: bool | None = None,
) -> Network:
    """Build SFNet-Lite with random weights; the arguments are those of `sfnet`."""
    encoder = make_pyramid_encoder(encoder_name, in_channels, dilate=dilate)
    decoder = SFNetLiteDecoder(encoder.out_channels[2:], pyramid_channels, context=context)
    return Network(encoder, decoder, stride_4_head(pyramid_channels, classes))
