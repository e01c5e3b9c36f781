"""DLSE: DeepLabV3 with a three-level decoder, for squeeze-and-excitation and edge maps.

Program: github.com/SatishKumarAnbalagan/Semantic-Segmentation (Keras); no paper. Its parts follow
He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016 (units), and Chen et al.,
"Rethinking Atrous Convolution for Semantic Image Segmentation", 2017 (pyramid). Written from the
layer table of the network.

    stride    encoder                        decoder
    1         image ------------------------ [edges] cat 16 -> 8 -> head -> classes
    2         conv 7x7, BN, ReLU             up 32 -> up 16
    4         max pool ------- 1x1, 48 ----- cat 64
    8         stage 2 -------- 1x1, 48 ----- cat 64
    16        stages 3, 4, 5 - pyramid ----- 256

`create_model("dlse", form="published", encoder_name="resnet50", enhancements=["se"])` is the
program's DLSE, without ``se`` its "vanilla" network, with ``in_channels=4`` its DLSE-HED. The form
``corrected`` keeps the decoder and takes any encoder of SMP or timm at output stride 16, a pyramid
with batch norms, ReLUs and image pooling, and batch norms in the decoder.

Axes: B batch, C image channels, E edge channels, H W image size, h w size of a map.
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.errors import ConfigError
from segloom.models.architectures import Network
from segloom.models.encoders.encoder import Encoder
from segloom.ops.sizes import larger_size

__all__ = ["build"]

RATES = (6, 12, 18)
"""Dilations of the pyramid's 3x3 convolutions at output stride 16."""
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and units of stages 2 to 5: a ResNet-50."""


def build(
    *,
    encoder_name: str,
    in_channels: int,
    classes: int,
    form: Literal["corrected", "published"] = "corrected",
    edge_channels: Annotated[int, Field(ge=0)] | None = None,
) -> Network:
    """Build DLSE with random weights; squeeze-and-excitation is the enhancement ``se``.

    Args:
        encoder_name: ``resnet50`` where the form is ``published``, whose ResNet-50 is its own.
        in_channels: Channels of the image; those beyond three are edge maps.
        classes: Number of classes.
        form: ``published`` equals the program, ``corrected`` see the head of this file.
        edge_channels: The last so many channels that the encoder is given join once more before
            the head; None takes those beyond three. 1 with three channels and the enhancement
            that adds an edge map joins that map.

    Raises:
        ConfigError: The published form is asked for on another encoder.
    """
    edges = max(in_channels - 3, 0) if edge_channels is None else edge_channels
    encoder: Encoder
    decoder: nn.Module
    if form == "published":
        if encoder_name != "resnet50":
            raise ConfigError(
                f"dlse: the published form has a ResNet-50 of its own and takes no {encoder_name}; "
                "give encoder_name resnet50, or form corrected."
            )
        encoder = PreactivationResNet(in_channels)
        decoder = PublishedDecoder(edges)
        return Network(encoder, decoder, nn.Conv2d(8, classes, 3, padding=1))
    from segmentation_models_pytorch.encoders import get_encoder

    encoder = get_encoder(encoder_name, in_channels=in_channels, weights=None, output_stride=16)
    decoder = CorrectedDecoder(encoder.out_channels, edges)
    return Network(encoder, decoder, nn.Conv2d(8, classes, 3, padding=1))


def pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad as TensorFlow's "same" does: ``ceil(n / stride)`` outputs, the smaller half first."""

    def halves(size: int) -> tuple[int, int]:
        steps = (size + stride - 1) // stride
        total = larger_size((steps - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2

    return F.pad(x, (*halves(x.shape[-1]), *halves(x.shape[-2])), value=value)


class PreactivationUnit(nn.Module):
    """BN-ReLU-1x1, BN-ReLU-3x3, BN-ReLU-1x1, plus the input or a 1x1 convolution of it.

    Args:
        channels: Of the input.
        inner: Of the 3x3 convolution; the output has four times as many.
        stride: Of the first convolution.
        dilation: Of the 3x3 convolution.
        has_gate: Whether ``se`` is a place for a gate or stays empty.
    """

    se: nn.Module | None

    def __init__(
        self, channels: int, inner: int, stride: int, dilation: int, *, has_gate: bool
    ) -> None:
        super().__init__()
        outer = 4 * inner
        self.bn1 = nn.BatchNorm2d(channels, momentum=0.01)
        self.conv1 = nn.Conv2d(channels, inner, 1, stride)
        self.bn2 = nn.BatchNorm2d(inner, momentum=0.01)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation)
        self.bn3 = nn.BatchNorm2d(inner, momentum=0.01)
        self.conv3 = nn.Conv2d(inner, outer, 1)
        has_projection = stride > 1 or channels != outer
        self.shortcut = nn.Conv2d(channels, outer, 1, stride) if has_projection else nn.Identity()
        self.se = None if has_gate else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output ``(B, 4 inner, h, w)`` and the reduced input ``(B, inner, h, w)``."""
        reduced = self.conv1(torch.relu(self.bn1(x)))
        branch = self.conv2(torch.relu(self.bn2(reduced)))
        branch = self.conv3(torch.relu(self.bn3(branch)))
        if self.se is not None:
            branch = self.se(branch)
        return branch + self.shortcut(x), reduced


class PreactivationResNet(Encoder):
    """The published encoder: ResNet-50 with its batch norms first, biases, and TensorFlow padding.

    Args:
        in_channels: Channels of the image.
    """

    output_stride = 16

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = [in_channels, 64, 64, 64, 2048]
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(64, momentum=0.01)
        channels = 64
        for number, (inner, count) in enumerate(STAGES, start=2):
            stage = nn.ModuleList()
            for unit in range(count):
                stride = 2 if unit == 0 and number < 4 else 1
                dilation = 4 if number == 5 else 1
                stage.append(
                    PreactivationUnit(channels, inner, stride, dilation, has_gate=number < 5)
                )
                channels = 4 * inner
            self.add_module(f"stage{number}", stage)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the image and the maps of strides 2, 4, 8 (64 channels each) and 16 (2048)."""
        stem = torch.relu(self.bn1(self.conv1(pad_same(x, 7, 2))))
        pooled = F.max_pool2d(pad_same(stem, 3, 2, float("-inf")), 3, 2)
        maps, reduced = pooled, []
        for number in range(2, 6):
            for unit in cast("nn.ModuleList", getattr(self, f"stage{number}")):
                maps, inner = unit(maps)
                reduced.append(inner)
        # The decoder takes the first unit's reduced input, before its batch norm.
        return [x, stem, pooled, reduced[0], maps]


class PublishedPyramid(nn.Module):
    """The published pyramid: no ReLU, no image pooling, one batch norm after the projection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.BatchNorm2d(channels, momentum=0.01),  # stands in for image pooling
                nn.Conv2d(channels, 256, 1),
                *(nn.Conv2d(channels, 256, 3, padding=rate, dilation=rate) for rate in RATES),
            ]
        )
        self.project = nn.Sequential(
            separable(channels + 256 * (1 + len(RATES)), 256), nn.BatchNorm2d(256, momentum=0.01)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 2048, h, w)`` to ``(B, 256, h, w)``."""
        projected: Tensor = self.project(torch.cat([branch(x) for branch in self.convs], 1))
        return projected


def separable(channels: int, out_channels: int) -> nn.Sequential:
    """Make a separable 1x1 convolution: a scale per channel, then a 1x1 convolution with bias."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1, groups=channels, bias=False),
        nn.Conv2d(channels, out_channels, 1),
    )


class Decoder(nn.Module):
    """From the pyramid to image size in four steps, with maps of stride 8 and 4 on the way.

    Args:
        aspp: The pyramid; 256 channels out.
        skips: Bring the maps of levels 3 and 2 to 48 channels.
        up: Convolutions after each doubling: 256 -> 64, 112 -> 64, 112 -> 32, 32 -> 16 channels.
        last: 16 + E -> 8 channels.
        edge_channels: E.
    """

    def __init__(
        self,
        aspp: nn.Module,
        skips: list[nn.Module],
        up: list[nn.Module],
        last: nn.Module,
        edge_channels: int,
    ) -> None:
        super().__init__()
        self.aspp = aspp
        self.skips = nn.ModuleList(skips)
        self.up = nn.ModuleList(up)
        self.last = last
        self.edge_channels = edge_channels

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map the encoder's maps, image first, to ``(B, 8, H, W)``."""
        x = self.aspp(features[-1])
        for step, convolution in enumerate(self.up):
            x = convolution(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            if step < len(self.skips):
                x = torch.cat([self.skips[step](features[3 - step]), x], dim=1)
        if self.edge_channels:
            image = features[0]
            x = torch.cat([x, image[:, image.shape[1] - self.edge_channels :]], dim=1)
        decoded: Tensor = self.last(x)
        return decoded


class PublishedDecoder(Decoder):
    """As in the program: biases, ReLU after the four steps, nothing after the skips and the last.

    Args:
        edge_channels: E.
    """

    def __init__(self, edge_channels: int) -> None:
        super().__init__(
            PublishedPyramid(2048),
            [separable(64, 48), separable(64, 48)],
            [
                nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.ReLU())
                for before, after in ((256, 64), (112, 64), (112, 32), (32, 16))
            ],
            nn.Conv2d(16 + edge_channels, 8, 3, padding=1),
            edge_channels,
        )


class CorrectedDecoder(Decoder):
    """The same steps, each convolution with batch norm and ReLU, over DeepLabV3's pyramid.

    Args:
        channels: Of the encoder's maps, by level.
        edge_channels: E.
    """

    def __init__(self, channels: list[int], edge_channels: int) -> None:
        from torchvision.models.segmentation.deeplabv3 import ASPP
        from torchvision.ops import Conv2dNormActivation as Block

        super().__init__(
            ASPP(channels[-1], list(RATES), 256),
            [Block(channels[3], 48, 1), Block(channels[2], 48, 1)],
            [Block(256, 64), Block(112, 64), Block(112, 32), Block(32, 16)],
            Block(16 + edge_channels, 8),
            edge_channels,
        )
