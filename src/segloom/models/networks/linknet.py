"""LinkNet: every decoder block gets back what went into the encoder block opposite.

Paper: Chaurasia and Culurciello, "LinkNet: Exploiting Encoder Representations for Efficient
Semantic Segmentation", VCIP 2017, figures 1 and 2. What the paper leaves open (biases, initial
values, the rectification after each sum) is as in the authors' program, e-lab/LinkNet, model.lua.

    stem 1/2 -> pool 1/4 -> E1 1/4 -> E2 1/8 -> E3 1/16 -> E4 1/32
                  |           |         |          |         |
    head <- tail <- D1 <----- D2 <----- D3 <------ D4 <------+     D_k + input of E_k, then ReLU

SMP's ``linknet`` is another network: its decoder meets the *outputs* of the encoder's blocks, has
no rectification after the sums and ends in a single 1x1 convolution.
Axes: B batch, C_k channels of the encoder's level k, h w size of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from segloom.errors import ConfigError
from segloom.models.architectures import Network

__all__ = ["LinknetDecoder", "build_linknet"]

EPSILON = 1e-3
"""Of the decoder's batch norms."""
WIDTH = 32
"""Channels of the last map before the head."""


def build_linknet(
    encoder_name: str = "resnet18",
    in_channels: int = 3,
    classes: int = 1,
    form: Literal["paper", "blog"] = "paper",
    output_stride: int = 32,
) -> Network:
    """Build LinkNet with random weights; 11,535,659 parameters on ResNet-18 for 11 classes.

    Args:
        encoder_name: The paper's is ``resnet18``; any encoder that has a map at half the size.
        in_channels: Channels of the image.
        classes: Number of classes.
        form: ``blog`` is the network of a widespread tutorial; see `linknet_blog`.
        output_stride: 8 or 16 dilate the encoder's last blocks instead of shrinking their maps;
            the decoder's strides follow.

    Raises:
        ConfigError: The encoder has no map at half the size, or ``form`` does not take an option.
    """
    if form == "blog":
        from segloom.models.networks.linknet_blog import build_blog_linknet

        if encoder_name != "resnet18" or output_stride != 32:
            raise ConfigError(
                "form=blog brings its own encoder; leave output_stride out and give encoder_name "
                "resnet18."
            )
        return build_blog_linknet(in_channels, classes)
    from segmentation_models_pytorch.encoders import get_encoder

    encoder = get_encoder(encoder_name, in_channels, 5, output_stride=output_stride)
    channels = encoder.out_channels
    if len(channels) != 6 or 0 in channels:
        raise ConfigError("LinkNet needs an encoder with a map at half the size of the image.")
    strides = [min(2**level, output_stride) for level in range(1, 6)]
    head = nn.ConvTranspose2d(WIDTH, classes, 2, stride=2)
    return Network(encoder, LinknetDecoder(channels[1:], strides), nn.Sequential(head))


class LinknetDecoder(nn.Module):
    """The right-hand side of figure 1, up to the last convolution.

    Args:
        channels: Of the encoder's levels 1 to 5.
        strides: Of the same levels.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        # The inputs of E1 to E4: the pooled stem, at the stride of level 2, and levels 2 to 4.
        strides = [strides[1], *strides[1:]]
        sizes = list(pairwise(zip(channels, strides, strict=True)))
        self.blocks = nn.ModuleList(
            DecoderBlock(deep, shallow, deep_stride // stride)
            for (shallow, stride), (deep, deep_stride) in reversed(sizes)
        )
        self.tail = nn.Sequential(
            _with_norm(nn.ConvTranspose2d(channels[0], WIDTH, 3, 2, 1, output_padding=1)),
            _with_norm(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                fan = module.kernel_size[0] ** 2 * module.out_channels
                nn.init.normal_(module.weight, std=(2 / fan) ** 0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # all have one

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map levels 0 to 5 to ``(B, 32, H / 2, W / 2)``."""
        _, stem, *rest, x = features
        bypasses = [F.max_pool2d(stem, 3, stride=2, padding=1), *rest]
        for block, bypass in zip(self.blocks, reversed(bypasses), strict=True):
            x = F.relu(block(x) + bypass)
        decoded: Tensor = self.tail(x)
        return decoded


class DecoderBlock(nn.Module):
    """Figure 2, right: squeeze to a quarter, up-sample, widen; ``(B, C, h, w) -> (B, C', sh, sw)``.

    Args:
        in_channels: C.
        out_channels: C'.
        stride: s, 1 or 2.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        inner = in_channels // 4
        self.squeeze = _with_norm(nn.Conv2d(in_channels, inner, 1))
        self.upsample = _with_norm(
            nn.ConvTranspose2d(inner, inner, 3, stride, 1, output_padding=stride - 1)
        )
        self.widen = _with_norm(nn.Conv2d(inner, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Up-sample one map."""
        widened: Tensor = self.widen(self.upsample(self.squeeze(x)))
        return widened


def _with_norm(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    norm = nn.BatchNorm2d(convolution.out_channels, eps=EPSILON)
    return nn.Sequential(convolution, norm, nn.ReLU(inplace=True))
