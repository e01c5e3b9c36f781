"""What a state dict is a network of, read off the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from segloom.enhancements.hed.weights import rename_hed_tensors
from segloom.errors import CheckpointError
from segloom.models.architectures import find_architecture, find_encoder
from segloom.models.networks.reference import inspect_reference_state

__all__ = ["CheckpointSource", "inspect_checkpoint"]


@dataclass(frozen=True)
class CheckpointSource:
    """A network as its tensors describe it."""

    method: str | None
    """``afma`` or ``celt`` of the original programs, or None for a network without enhancements."""
    architecture: str
    encoder_name: str
    in_channels: int
    classes: int
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of the architecture in which the original differs from SMP's defaults."""
    enhancement: dict[str, Any] = field(default_factory=dict)
    """Options of the method."""
    is_reference_network: bool = False
    """Its names are those of the released SFNet or FENet program."""


PSPNET_OPTIONS: dict[str | None, dict[str, int]] = {
    "afma": {"encoder_depth": 5, "output_stride": 8},
    "celt": {"encoder_depth": 5, "upsampling": 32},
}
"""In which the PSPNets of the original programs differ from SMP's."""

ARCHITECTURE_MARKS = {
    "decoder.blocks.x_0_0.": "unetplusplus",
    "decoder.center.top_conv.": "manet",
    "decoder.blocks.0.block.": "linknet",
    "decoder.blocks.0.squeeze.": "linknetpaper",
    "decoder.blocks.0.conv1.": "unet",
    "decoder.p5.": "fpn",
    "decoder.fpa.": "pan",
    "decoder.psp.blocks.": "pspnet",
    "decoder.ASPP.": "deeplabv3",
    "decoder.0.convs.": "deeplabv3",
    "decoder.aspp.convs.": "deeplabv3",
    "decoder.aspp.0.convs.": "deeplabv3plus",
    "decoder.mlp_stage.": "segformer",
    "decoder.readout_blocks.": "dpt",
}
"""Beginning of a name that only one architecture has."""

RESNETS: dict[tuple[int, ...], str] = {
    (0, 2, 2, 2, 2): "resnet18",
    (0, 3, 4, 6, 3): "resnet34",
    (1, 3, 4, 6, 3): "resnet50",
    (1, 3, 4, 23, 3): "resnet101",
    (1, 3, 8, 36, 3): "resnet152",
}
"""1 for bottlenecks, and the blocks of the four layers."""

METHOD_MARKS = {
    "afma": "encoder.conv_feamap.0.weight",
    "celt": "encoder.unfold_layer_down.0.weight",
}
BLOG_LINKNET_HEAD = "_deconv_2._conv_trans_2d.weight"
HEADS = {
    "afma": "decoder.segmentation.conv_x.weight",
    "celt": "segmentation_head.conv2d.weight",
    None: "segmentation_head.0.weight",
}
BASIC_CHANNELS = (3, 64, 64, 128, 256, 512)
BOTTLENECK_CHANNELS = (3, 64, 256, 512, 1024, 2048)
"""Channels of a ResNet's maps, by level."""


def inspect_checkpoint(
    tensors: Mapping[str, Tensor],
    file: str,
    *,
    architecture: str | None = None,
    encoder_name: str | None = None,
    level: int | None = None,
) -> CheckpointSource:
    """Return method, architecture, encoder and sizes of a state dict.

    Args:
        tensors: The state dict of the original AFMA, CELT, SFNet or FENet program, of the
            tutorial's LinkNet, of SMP or of ours.
        file: Where it comes from, for the messages.
        architecture: Needed where the names do not tell it.
        encoder_name: Needed for other encoders than ResNets.
        level: AFMA's level, needed where two levels have as many channels.

    Raises:
        CheckpointError: The tensors do not tell, or contradict an argument.
    """
    if BLOG_LINKNET_HEAD in tensors:
        return _blog_linknet(tensors, file, architecture)
    known = inspect_reference_state(tensors, file)
    if known is not None:
        _check_stated(architecture, known["architecture"], file)
        _check_stated(encoder_name, known["encoder_name"], file)
        return CheckpointSource(method=None, is_reference_network=True, **known)
    method = next((name for name, mark in METHOD_MARKS.items() if mark in tensors), None)
    architecture = _architecture(tensors, file, architecture)
    encoder_name = _encoder(tensors, file, encoder_name, method)
    head = tensors.get(HEADS[method])
    if head is None:
        raise CheckpointError(f"{file} has no segmentation head ({HEADS[method]}).")
    first = tensors.get("encoder.conv1.weight", tensors.get("encoder.model.conv1.weight"))
    enhancement: dict[str, object] = {}
    if method == "afma":
        enhancement = _afma_options(tensors, file, encoder_name, level)
    elif method == "celt":
        enhancement = _celt_options(tensors, file)
    options = PSPNET_OPTIONS.get(method, {}) if architecture == "pspnet" else {}
    if "output_stride" in options:  # dilated as torchvision and timm do, not as SMP does
        encoder_name = f"tu-{encoder_name.removeprefix('tu-')}"
    return CheckpointSource(
        method=method,
        architecture=architecture,
        encoder_name=encoder_name,
        in_channels=3 if first is None else first.shape[1],
        # A transposed convolution has its outputs on the second axis.
        classes=head.shape[1 if architecture == "linknetpaper" else 0],
        options=dict(options),
        enhancement=enhancement,
    )


def _check_stated(given: str | None, found: str, file: str) -> None:
    if given and given.lower().removeprefix("tu-") != found.removeprefix("tu-"):
        raise CheckpointError(f"{file} has {found}, not {given}; leave that out.")


def _blog_linknet(
    tensors: Mapping[str, Tensor], file: str, architecture: str | None
) -> CheckpointSource:
    if architecture and find_architecture(architecture).name != "linknetpaper":
        raise CheckpointError(
            f"{file} holds a linknetpaper, not a {architecture}; leave --architecture out."
        )
    return CheckpointSource(
        method=None,
        architecture="linknetpaper",
        encoder_name="resnet18",
        in_channels=_shape(tensors, "_mconv_1._mconv.0.weight", file)[1],
        classes=tensors[BLOG_LINKNET_HEAD].shape[1],
        options={"form": "blog"},
    )


def _architecture(tensors: Mapping[str, Tensor], file: str, given: str | None) -> str:
    marks = ARCHITECTURE_MARKS.items()
    found = next((name for mark, name in marks if any(k.startswith(mark) for k in tensors)), None)
    name = find_architecture(given).name if given else found
    if name is None and any(key.startswith("score_dsn") for key in rename_hed_tensors(tensors)):
        raise CheckpointError(
            f"{file} holds an edge detector (HED), which needs no conversion; give it to `segloom "
            "edges --weights`, or to a network as hed:weights=FILE."
        )
    if name is None:
        raise CheckpointError(
            f"the names in {file} do not tell its architecture; give --architecture."
        )
    if found is not None and name != found:
        raise CheckpointError(f"{file} holds a {found}, not a {name}; leave --architecture out.")
    return name


def _encoder(
    tensors: Mapping[str, Tensor], file: str, given: str | None, method: str | None
) -> str:
    resnet = _resnet(tensors)
    if resnet is None and method is not None:
        raise CheckpointError(
            f"{file} has no plain ResNet encoder, the only kind of the original {method} program."
        )
    name = find_encoder(given) if given else resnet
    if name is None:
        raise CheckpointError(f"{file} has no plain ResNet encoder; give --encoder-name.")
    if resnet is not None and name.removeprefix("tu-") != resnet:
        raise CheckpointError(f"{file} has a {resnet} encoder, not {name}; leave that out.")
    return name


def _resnet(tensors: Mapping[str, Tensor]) -> str | None:
    prefix = "encoder.model." if "encoder.model.layer1.0.conv1.weight" in tensors else "encoder."
    first, second = (tensors.get(f"{prefix}layer1.0.conv{number}.weight") for number in (1, 2))
    if first is None or second is None or first.shape[0] != 64 or second.shape[:2] != (64, 64):
        return None  # no ResNet, a grouped one (ResNeXt) or a wide one
    pattern = re.compile(re.escape(prefix) + r"layer([1-4])\.\d+\.conv1\.weight$")
    layers = [int(match[1]) for key in tensors if (match := pattern.match(key))]
    has_bottlenecks = int(f"{prefix}layer1.0.conv3.weight" in tensors)
    return RESNETS.get((has_bottlenecks, *(layers.count(number) for number in (1, 2, 3, 4))))


def _afma_options(
    tensors: Mapping[str, Tensor], file: str, encoder_name: str, level: int | None
) -> dict[str, object]:
    channels = tensors[METHOD_MARKS["afma"]].shape[1]
    is_basic = encoder_name.removeprefix("tu-") in ("resnet18", "resnet34")
    known = BASIC_CHANNELS if is_basic else BOTTLENECK_CHANNELS
    levels = [number for number in range(1, 6) if known[number] == channels]
    if level is None and len(levels) > 1:
        raise CheckpointError(
            f"{file} does not tell AFMA's level: levels {levels} of {encoder_name} both have "
            f"{channels} channels; give --level, the att_depth of the training."
        )
    if not levels or (level is not None and level not in levels):
        fitting = f"level {' or '.join(map(str, levels))}" if levels else "no level"
        raise CheckpointError(
            f"{file} has an AFMA for {channels} channels, which is {fitting} of {encoder_name}"
            + (f", not {level}." if level is not None else ".")
        )
    inner = _shape(tensors, "encoder.resolution_trans.0.weight", file)[1]
    return {"level": levels[0] if level is None else level, "patch": _root(inner, file)}


def _celt_options(tensors: Mapping[str, Tensor], file: str) -> dict[str, object]:
    hidden, relations = _shape(tensors, "encoder.linear_layer_1.weight", file)
    width = _shape(tensors, "encoder.linear_layer_2.weight", file)[0]
    linear = "encoder.transformer_layer_up.encoder.layers.0.linear1.weight"
    return {
        "level": 2,
        "patch": _root(width, file),
        "grid": _root(relations, file),
        "hidden": hidden,
        "feedforward": _shape(tensors, linear, file)[0],
        "kernel": _shape(tensors, "segmentation_head.conv_att_to_all_1.weight", file)[-1],
    }


def _shape(tensors: Mapping[str, Tensor], name: str, file: str) -> tuple[int, ...]:
    if name not in tensors:
        raise CheckpointError(f"{file} is incomplete: it lacks {name}.")
    return tuple(tensors[name].shape)


def _root(square: int, file: str) -> int:
    root: int = round(square**0.5)
    if root * root != square:
        raise CheckpointError(
            f"{file} was made for {square} patches or pixels of a patch, which is no square."
        )
    return root
