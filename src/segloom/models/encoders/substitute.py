"""Our encoders under SMP's networks: handed over by SMP's own table of encoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from segmentation_models_pytorch.encoders import encoders as smp_encoders
from segmentation_models_pytorch.encoders.timm_universal import TimmUniversalEncoder
from torch import nn

from segloom.models.encoders.encoder import Encoder, SmpNetwork
from segloom.models.encoders.facts import encoder_facts
from segloom.models.encoders.hiera import HieraEncoder
from segloom.models.encoders.sizes import settle_image_size
from segloom.models.encoders.transformer import PatchScale, PyramidEncoder

__all__ = ["adapt_dpt", "needs_substitute", "substituted"]

ALIAS = "segloom-encoder"
DPT_STRIDE = 16
"""Of the maps that DPT's decoder takes."""


def needs_substitute(encoder_name: str) -> bool:
    """Return whether SMP's own encoder would fit no decoder, or images of one size alone."""
    if not encoder_name.startswith("tu-"):
        return False
    facts = encoder_facts(encoder_name.removeprefix("tu-"))
    return facts.is_plain or facts.is_fixed


@contextmanager
def substituted(
    encoder_name: str, *, in_channels: int, has_half: bool, arguments: dict[str, object]
) -> Iterator[str]:
    """Let SMP's ``get_encoder`` build one of our encoders inside the block.

    Args:
        encoder_name: For which `needs_substitute` holds.
        in_channels: Channels of the image.
        has_half: The decoder needs a map at half the size.
        arguments: Further ones of timm's class.

    Yields:
        The name under which ``get_encoder`` builds it.
    """
    build = partial(
        _build,
        encoder_name.removeprefix("tu-"),
        in_channels=in_channels,
        has_half=has_half,
        arguments=arguments,
    )
    smp_encoders[ALIAS] = {"encoder": build, "params": {}, "pretrained_settings": {}}
    try:
        yield ALIAS
    finally:
        del smp_encoders[ALIAS]


def adapt_dpt(
    build: Callable[..., SmpNetwork], encoder_name: str, *, in_channels: int, **arguments: object
) -> SmpNetwork:
    """Build SMP's DPT so that it takes images of any size and patches of any size.

    DPT's decoder makes maps of sizes that are right for patches of 16 pixels alone.
    """
    name = encoder_name.removeprefix("tu-")
    facts = encoder_facts(name)
    options = {**facts.size_arguments(), **arguments}
    network = build(encoder_name=encoder_name, in_channels=in_channels, **options)
    encoder = network.encoder
    encoder.is_fixed_input_size = False
    if facts.is_plain:
        scale = PatchScale(facts.strides[-1], DPT_STRIDE)
        encoder.register_forward_pre_hook(scale.as_hook)
        encoder.output_stride = DPT_STRIDE
        encoder.output_strides = [DPT_STRIDE] * len(encoder.output_strides)
        if facts.strides[-1] != DPT_STRIDE:
            network.decoder = _dpt_decoder(encoder, arguments)
    settle_image_size(encoder, name, in_channels)
    return network


def _dpt_decoder(encoder: Encoder, arguments: dict[str, object]) -> nn.Module:
    """Build DPT's decoder for the strides that the encoder has now, with SMP's defaults."""
    from segmentation_models_pytorch.base.initialization import initialize_decoder
    from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder

    decoder: nn.Module = DPTDecoder(
        encoder_out_channels=encoder.out_channels,
        encoder_output_strides=encoder.output_strides,
        encoder_has_prefix_tokens=encoder.has_prefix_tokens,
        readout=arguments.get("decoder_readout", "cat"),
        intermediate_channels=arguments.get(
            "decoder_intermediate_channels", (256, 512, 1024, 1024)
        ),
        fusion_channels=arguments.get("decoder_fusion_channels", 256),
    )
    initialize_decoder(decoder)
    return decoder


def _build(
    name: str,
    *,
    depth: int,
    output_stride: int,
    in_channels: int,
    has_half: bool,
    arguments: dict[str, object],
) -> Encoder:
    facts = encoder_facts(name)
    encoder: Encoder
    if facts.is_plain:
        encoder = PyramidEncoder(
            name,
            in_channels,
            depth=depth,
            output_stride=output_stride,
            has_half=has_half,
            **arguments,
        )
    else:
        kind = HieraEncoder if facts.family == "hiera" else TimmUniversalEncoder
        encoder = kind(
            name=name,
            pretrained=False,
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            **{**facts.size_arguments(), **arguments},
        )
    settle_image_size(encoder, name, in_channels)
    # SMP asks its own encoders for these once they are built; here both are done.
    encoder.set_in_channels = encoder.make_dilated = _nothing
    return encoder


def _nothing(*_: object, **__: object) -> None:
    """Stand in for a step that is already done."""
