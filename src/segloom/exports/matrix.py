"""Which architecture exports with which enhancement and which encoder, to ONNX and to OpenVINO.

The tests export every pair that fits and compare it at five sizes; what is named here is what they
expect to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from segloom.errors import ConfigError
from segloom.models.encoders.facts import encoder_facts
from segloom.models.matrix import ENCODERS, EncoderCell, Fit, encoder_matrix, fit_matrix

__all__ = [
    "FAMILIES_NOT_EXPORTED",
    "NOT_EXPORTED",
    "NOT_IN_OPENVINO",
    "TRIED",
    "check_encoder",
    "export_matrix",
    "exported_encoders",
]

NOT_EXPORTED: Mapping[tuple[str, str], str] = {}
"""Why the gate refuses the ONNX file of an architecture with an enhancement (empty for none), which
is named as the command line names it. All pairs pass at present."""

NOT_IN_OPENVINO: Mapping[tuple[str, str], str] = {}
"""The same of the file for OpenVINO, where the one in ONNX passes."""

_SHIFTED = "PyTorch's exporter does not get through its shifted windows at an open image size"
FAMILIES_NOT_EXPORTED: Mapping[str, str] = {
    "swin_transformer": _SHIFTED,
    "swin_transformer_v2": _SHIFTED,
}
"""timm's modules of encoders that are refused before an export begins, and why. Of Swin the masks
follow from the size of the image in so many ways that the exporter does not get through them in
minutes, however small the network is."""

_ON_TOKENS = ("linear", "unet", "eomt")
TRIED: Mapping[str, tuple[str, ...]] = {
    "tu-convnext_atto": ("fpn",),
    "tu-mobilenetv4_conv_small_035": ("fpn",),
    "tu-fastvit_t8": ("fpn",),
    "tu-repvit_m0_9": ("fpn",),
    "tu-efficientvit_b0": ("fpn",),
    "tu-test_maxvit": ("fpn",),
    "tu-hiera_tiny_224": ("fpn", "unet"),
    "tu-vit_small_patch14_dinov2": (*_ON_TOKENS, "dpt"),
    "tu-vit_small_patch16_dinov3": _ON_TOKENS,
    "tu-vit_base_patch16_siglip_224": _ON_TOKENS,
}
"""Architectures under which the tests export an encoder of `segloom.models.matrix.FAMILIES`; of
ResNets they are all that take one."""
RESNETS = ("resnet18", "tu-test_resnet")
UNTRIED = (
    "the network is built; the export of this pair is not among those that were tried, so "
    "`segloom export` decides when it compares the file with the network."
)


def check_encoder(encoder_name: str) -> None:
    """Refuse an encoder that cannot be exported for images of any size.

    Raises:
        ConfigError: It is one.
    """
    name = encoder_name.removeprefix("tu-")
    if name == encoder_name:
        return
    reason = FAMILIES_NOT_EXPORTED.get(encoder_facts(name).family)
    if reason:
        raise ConfigError(
            f"networks on {encoder_name} are not exported: {reason}; train on another encoder, "
            "such as a ConvNeXt or a plain vision transformer."
        )


def exported_encoders(progress: Callable[[int, int], None] | None = None) -> list[EncoderCell]:
    """Build an encoder of every family under every architecture, and say what exports.

    Args:
        progress: Called after each cell with the number done and the number of all.
    """
    return [
        cell
        if cell.refusal
        else cell._replace(export=_encoder_objection(cell.encoder), untried=_untried(*cell[:2]))
        for cell in encoder_matrix(progress)
    ]


def _untried(encoder_name: str, architecture: str) -> str:
    """Say that an export was not tried; empty where it was."""
    if encoder_name in RESNETS:  # `test_matrix` exports every architecture that takes one
        return UNTRIED if architecture in ENCODERS else ""
    return "" if architecture in TRIED.get(encoder_name, ()) else UNTRIED


def _encoder_objection(encoder_name: str) -> str:
    try:
        check_encoder(encoder_name)
    except ConfigError as error:
        return str(error)
    return ""


def export_matrix(progress: Callable[[int, int], None] | None = None) -> list[Fit]:
    """Build every architecture with every variant of every enhancement, and say what exports.

    Args:
        progress: Called after each cell with the number done and the number of all.
    """
    return [
        cell
        if cell.refusal
        else cell._replace(
            export=NOT_EXPORTED.get(cell[:2], ""), openvino=NOT_IN_OPENVINO.get(cell[:2], "")
        )
        for cell in fit_matrix(progress)
    ]
