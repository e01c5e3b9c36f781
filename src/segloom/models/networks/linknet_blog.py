"""The LinkNet of a widespread tutorial, for its checkpoints; see `docs/architectures/linknet.md`.

Source: stereomatchingkiss/blogCodes2, python_deep_learning/segmentation; written from its formulas.
It is not the paper's network: its first encoder block halves the map too (stride 64 at the end),
three of the four bypasses exist, nothing is rectified after a sum, every residual block projects
its input, and the batch norms after transposed convolutions are made but never applied (they are
left out here). Transposed convolutions hit the size of the encoder's map, so any even size goes in.

Axes: B batch, H W image size, h w size of a map.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from segloom.models.architectures import Network
from segloom.models.encoders.encoder import Encoder

__all__ = ["MEAN", "STD", "build_blog_linknet", "rename_blog_key"]

CHANNELS = (64, 64, 128, 256, 512)
"""Of the stem and of the four encoder blocks."""
WIDTH = 32
MEAN = (104.00699 / 255, 116.66877 / 255, 122.67892 / 255)
"""Caffe's means of blue, green and red, which the tutorial takes from red, green and blue."""
STD = (1.0, 1.0, 1.0)


def build_blog_linknet(in_channels: int, classes: int) -> Network:
    """Build the network with random weights."""
    head = nn.Sequential(nn.ConvTranspose2d(WIDTH, classes, 2, stride=2))
    return Network(BlogEncoder(in_channels), BlogDecoder(), head)


class BlogEncoder(Encoder):
    """Stem, pooling and four blocks: maps of stride 1, 2, 4, 8, 16, 32 and 64."""

    output_stride = 64
    input_multiple = 2
    title = "the encoder of form=blog"
    """What a refusal calls it: the name that its user gave is another encoder's."""
    instead = "form=paper in place of form=blog, with such an encoder"
    """What a refusal advises where another encoder is needed."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = [in_channels, CHANNELS[0], *CHANNELS]
        self.stem = blog_conv(in_channels, CHANNELS[0], 7, stride=2)
        self.stages = nn.ModuleList(
            encoder_block(CHANNELS[max(0, k - 1)], CHANNELS[k]) for k in range(1, 5)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map ``(B, C, H, W)`` to the maps of all levels; the first is the image."""
        features = [image, self.stem(image)]
        features.append(F.max_pool2d(features[-1], 3, stride=2, padding=1))
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


class BlogDecoder(nn.Module):
    """Four blocks with three bypasses, then up to half the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            BlogDecoderBlock(CHANNELS[k], CHANNELS[k - 1]) for k in range(4, 0, -1)
        )
        self.upsample = double(CHANNELS[0], WIDTH)
        self.smooth = blog_conv(WIDTH, WIDTH, 3)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map the encoder's maps to ``(B, 32, H / 2, W / 2)``."""
        _, stem, pooled, *rest = features
        x = rest.pop()
        for block in self.blocks:
            if rest:
                bypass = rest.pop()
                x = block(x, bypass) + bypass
            else:
                x = block(x, pooled)
        decoded: Tensor = self.smooth(crop_to(self.upsample(x), stem))
        return decoded


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a projection, which the same size and stride do not spare."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = blog_conv(in_channels, out_channels, 3, stride=stride)
        self.conv2 = blog_conv(out_channels, out_channels, 3)[:2]
        self.shortcut = blog_conv(in_channels, out_channels, 1, stride=stride)[:2]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, h, w)`` to ``(B, C', h / stride, w / stride)``, sizes rounded up."""
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class BlogDecoderBlock(nn.Module):
    """1x1 to a quarter, transposed 3x3 without batch norm or ReLU, 1x1."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inner = in_channels // 4
        self.squeeze = blog_conv(in_channels, inner, 1)
        self.upsample = double(inner, inner)
        self.widen = blog_conv(inner, out_channels, 1)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """Up-sample to the height and width of ``like``."""
        widened: Tensor = self.widen(crop_to(self.upsample(self.squeeze(x)), like))
        return widened


def blog_conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1
) -> nn.Sequential:
    """Make a convolution with bias that keeps the size, divided by ``stride`` and rounded up."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def encoder_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Make two residual blocks, of which the first halves the map."""
    return nn.Sequential(
        ResidualBlock(in_channels, out_channels, 2), ResidualBlock(out_channels, out_channels, 1)
    )


def double(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """Make the transposed convolution that doubles a map."""
    return nn.ConvTranspose2d(in_channels, out_channels, 3, 2, 1, output_padding=1)


def crop_to(doubled: Tensor, like: Tensor) -> Tensor:
    """Drop the last row and column where ``like`` has an odd size.

    Equal to a transposed convolution with that ``output_size``, which only appends. A negative
    padding crops; a slice would write a guard on the size into an export.
    """
    height, width = like.shape[-2:]
    return F.pad(doubled, (0, width - doubled.shape[-1], 0, height - doubled.shape[-2]))


def rename_blog_key(key: str) -> str | None:
    """Translate a state-dict key of the tutorial's program; None for what it never applies."""
    if "._batch_norm_2d." in key:
        return None
    for pattern, ours in BLOG_KEYS:
        if match := re.match(pattern, key):
            numbers = [int(number) for number in match.groups()]
            return ours(*numbers) + key[match.end() :]
    return key


BLOG_KEYS: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"_mconv_1\._mconv\.", lambda: "encoder.stem."),
    (
        r"_mencoder_(\d)\._mres_(\d)\._mconv_(\d)\._mconv\.",
        lambda k, block, number: f"encoder.stages.{k - 1}.{block - 1}.conv{number}.",
    ),
    (
        r"_mencoder_(\d)\._mres_(\d)\._mdownsample\.",
        lambda k, block: f"encoder.stages.{k - 1}.{block - 1}.shortcut.",
    ),
    (r"_mdecoder_(\d)\._mconv_1\._mconv\.", lambda k: f"decoder.blocks.{4 - k}.squeeze."),
    (
        r"_mdecoder_(\d)\._mdeconv_1\._conv_trans_2d\.",
        lambda k: f"decoder.blocks.{4 - k}.upsample.",
    ),
    (r"_mdecoder_(\d)\._mconv_2\._mconv\.", lambda k: f"decoder.blocks.{4 - k}.widen."),
    (r"_deconv_1\._conv_trans_2d\.", lambda: "decoder.upsample."),
    (r"_mconv_2\._mconv\.", lambda: "decoder.smooth."),
    (r"_deconv_2\._conv_trans_2d\.", lambda: "segmentation_head.0."),
)
"""Beginning of a name there, and how it begins here."""
