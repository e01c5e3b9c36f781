"""A linear head on a frozen encoder: one 1x1 convolution on the last map.

As DINOv2's linear evaluation of segmentation: Oquab et al., "DINOv2: Learning Robust Visual
Features without Supervision", TMLR 2024, section 7.4: a batch norm, a linear layer per patch, and
bilinear interpolation of the logits.
Axes: B batch, D channels of the last map, h w its size.
"""

from __future__ import annotations

from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from segloom.models.architectures import Network
from segloom.models.encoders.encoder import Encoder
from segloom.models.encoders.facts import encoder_facts
from segloom.models.encoders.sizes import settle_image_size
from segloom.models.encoders.substitute import needs_substitute, substituted
from segloom.models.encoders.transformer import TokenEncoder

__all__ = ["LinearDecoder", "build_linear"]


def build_linear(
    encoder_name: str, in_channels: int, classes: int, *, freeze: bool = True
) -> Network:
    """Build the network with random weights.

    Args:
        encoder_name: Any; of a plain vision transformer its last, normalised map is taken, of
            another network its deepest one.
        in_channels: Channels of the image.
        classes: Number of classes.
        freeze: Keep the encoder's weights as they are; see `SegmentationModel.freeze_encoder`.
    """
    encoder = _encoder(encoder_name, in_channels)
    width, stride = encoder.out_channels[-1], encoder.output_stride
    head = SegmentationHead(width, classes, kernel_size=1, upsampling=stride)
    return Network(encoder, LinearDecoder(width, freezes_encoder=freeze), head)


def _encoder(encoder_name: str, in_channels: int) -> Encoder:
    encoder: Encoder
    name = encoder_name.removeprefix("tu-")
    if encoder_name.startswith("tu-") and encoder_facts(name).is_plain:
        encoder = TokenEncoder(name, in_channels)
        settle_image_size(encoder, name, in_channels)
    elif needs_substitute(encoder_name):
        with substituted(
            encoder_name, in_channels=in_channels, has_half=False, arguments={}
        ) as ours:
            encoder = get_encoder(ours, in_channels)
    else:
        encoder = get_encoder(encoder_name, in_channels, weights=None)
    return encoder


class LinearDecoder(nn.Module):
    """Normalise the last map.

    Args:
        channels: D.
        freezes_encoder: Whether `create_model` freezes the encoder.
    """

    def __init__(self, channels: int, *, freezes_encoder: bool) -> None:
        super().__init__()
        self.freezes_encoder = freezes_encoder
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: list[Tensor], *_: Tensor) -> Tensor:
        """Return the last of the maps, ``(B, D, h, w)``, normalised."""
        normal: Tensor = self.norm(features[-1])
        return normal
