"""FENet: a pyramid that passes details upwards and structure downwards.

Paper: Liu, Zhang and Guo, "Boosting Semantic Segmentation via Feature Enhancement", ChinaMM 2022,
figure 2; wiring of the released program. FEM-D and FEM-S are in `segloom.blocks.fem`.

    r1..r3 = ReLU(BN(conv1x1(C2..C4)));  r4 = PPM(C5)
    up:    r2 <- FEM-D(r1, r2);  r3 <- FEM-D(r2, r3);  r4 <- FEM-D(r3, r4)
    down:  r3 <- FEM-S(r3, r4);  r2 <- FEM-S(r2, r3);  r1 <- FEM-S(r1, r2)
    out  = conv3x3([r1, up(r2), up(r3), up(r4)])

Axes: B batch, K channels of the pyramid, h w size at stride 4. C2 to C5 are the encoder's maps at
strides 4 to 32, here level 2 to 5.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from segloom.blocks.conv import conv_norm_relu
from segloom.blocks.fem import DetailEnhance, Extractor, StructureEnhance
from segloom.models.architectures import Network
from segloom.models.networks.context import PyramidPooling
from segloom.models.networks.encoders import make_pyramid_encoder
from segloom.models.networks.head import stride_4_head
from segloom.ops.resize import resize

__all__ = ["FENetDecoder", "fenet"]


class FENetDecoder(nn.Module):
    """The two passes over the pyramid.

    Args:
        encoder_channels: Of C2, C3, C4 and C5.
        channels: K.
        dense: After both passes, add to each map all coarser ones, resized.
        extractor: What the fusions extract, see `segloom.blocks.fem.Extractor`.
    """

    def __init__(
        self,
        encoder_channels: list[int],
        channels: int,
        *,
        dense: bool = False,
        extractor: Extractor = "highpass",
    ) -> None:
        super().__init__()
        *laterals, deepest = encoder_channels
        self.dense = dense
        self.laterals = nn.ModuleList(conv_norm_relu(c, channels, 1) for c in laterals)
        self.context = PyramidPooling(deepest, channels, "fenet")
        self.details = nn.ModuleList(DetailEnhance(channels, extractor) for _ in laterals)
        self.structures = nn.ModuleList(StructureEnhance(channels, extractor) for _ in laterals)
        self.fuse = conv_norm_relu(channels * len(encoder_channels), channels, 3, bias=True)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Decode the encoder's maps into ``(B, K, h, w)``."""
        maps = self.enhance(features[-4:])
        size = maps[0].shape[-2:]
        out: Tensor = self.fuse(torch.cat([maps[0], *(resize(m, size) for m in maps[1:])], dim=1))
        return out

    def enhance(self, features: list[Tensor]) -> list[Tensor]:
        """Run both passes: C2 to C5 become four maps of K channels, sizes kept."""
        *fine, deepest = features
        maps: list[Tensor] = [
            lateral(feature) for lateral, feature in zip(self.laterals, fine, strict=True)
        ]
        maps.append(self.context(deepest))
        for n, detail in enumerate(self.details):
            maps[n + 1] = detail(maps[n], maps[n + 1])
        for n, structure in reversed(list(enumerate(self.structures))):
            maps[n] = structure(maps[n], maps[n + 1])
        if self.dense:
            for n in reversed(range(len(maps) - 1)):
                size = maps[n].shape[-2:]
                for coarser in maps[n + 1 :]:
                    maps[n] = maps[n] + resize(coarser, size)
        return maps


def fenet(
    encoder_name: str,
    in_channels: int,
    classes: int,
    *,
    pyramid_channels: Annotated[int, Field(ge=1)] = 128,
    dense: bool = False,
    extractor: Extractor = "highpass",
    dilate: bool | None = None,
) -> Network:
    """Build FENet with random weights.

    Args:
        encoder_name: Any encoder with maps at strides 4 to 32.
        in_channels: Channels of the image.
        classes: Number of classes.
        pyramid_channels: K; 128 for ResNet-18 in the released program, 256 for ResNet-50 and 101.
        dense: Add all coarser maps to each map; off in the released configurations.
        extractor: What the fusions extract: ``highpass`` (released), ``lowpass`` or ``fixed``.
        dilate: None dilates the last stages of a ResNet, as released; see `make_pyramid_encoder`.
    """
    encoder = make_pyramid_encoder(encoder_name, in_channels, dilate=dilate)
    decoder = FENetDecoder(
        encoder.out_channels[2:], pyramid_channels, dense=dense, extractor=extractor
    )
    return Network(encoder, decoder, stride_4_head(pyramid_channels, classes))
