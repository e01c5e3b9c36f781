"""Encoders for the networks of ours: deep-stem ResNets, and dilation that keeps the strides."""

from __future__ import annotations

from segmentation_models_pytorch.encoders import get_encoder
from timm.models import generate_default_cfgs, register_model
from timm.models._builder import build_model_with_cfg
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

from segloom.models.encoders.encoder import Encoder

__all__ = ["dilate_last_stages", "make_pyramid_encoder", "resnet18s"]

DILATIONS = {"layer3": 2, "layer4": 4}


# timm reads the name; there are no weights on a hub.
default_cfgs = generate_default_cfgs(
    {"resnet18s": {"first_conv": "conv1.0", "classifier": "fc", "pool_size": (7, 7)}}
)


@register_model  # type: ignore[untyped-decorator]  # mypy does not read timm
def resnet18s(pretrained: bool = False, **kwargs: object) -> ResNet:
    """Build a ResNet-18 with the deep stem of timm's resnet50s: three 3x3 convolutions, 64-64-128.

    timm has the deeper two; with this one, ``tu-resnet18s`` is the encoder of SFNet-R18 and
    FENet-R18.
    """
    arguments = {"block": BasicBlock, "layers": (2, 2, 2, 2), "stem_width": 64, "stem_type": "deep"}
    return build_model_with_cfg(ResNet, "resnet18s", pretrained, **{**arguments, **kwargs})


def make_pyramid_encoder(encoder_name: str, in_channels: int, *, dilate: bool | None) -> Encoder:
    """Build an encoder with random weights whose last four maps are at strides 4 to 32.

    Args:
        encoder_name: SMP's name; timm's begin with ``tu-``.
        in_channels: Channels of the image.
        dilate: Dilate the last two stages, see `dilate_last_stages`; None dilates a ResNet and
            leaves other encoders as they are.

    Returns:
        The encoder, a module with ``out_channels``.

    Raises:
        ValueError: The encoder cannot be dilated.
    """
    encoder: Encoder = get_encoder(encoder_name, in_channels=in_channels, depth=5, weights=None)
    if dilate is not False and not dilate_last_stages(encoder) and dilate:
        raise ValueError(f"{encoder_name} is no ResNet, the only kind that dilate=true dilates.")
    return encoder


def dilate_last_stages(encoder: nn.Module) -> bool:
    """Dilate the second convolution of each block of a ResNet's last two stages, strides kept.

    By 2 in stage 3 and by 4 in stage 4: variant "D" of the SFNet and FENet programs. It widens
    the view, and no map changes its size.

    Returns:
        Whether the encoder is a ResNet.
    """
    body: object = getattr(encoder, "model", encoder)
    stages = [(getattr(body, name, None), rate) for name, rate in DILATIONS.items()]
    blocks = [
        (block, rate)
        for stage, rate in stages
        if isinstance(stage, nn.Sequential)
        for block in stage
    ]
    convolutions = [
        (convolution, rate)
        for block, rate in blocks
        if isinstance(convolution := getattr(block, "conv2", None), nn.Conv2d)
        and convolution.kernel_size == (3, 3)
    ]
    if not convolutions or len(convolutions) != len(blocks):
        return False
    for convolution, rate in convolutions:
        convolution.dilation = convolution.padding = (rate, rate)
    return True
