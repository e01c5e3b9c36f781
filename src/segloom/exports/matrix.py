"""Which architecture exports with which enhancement and which encoder, to ONNX and to OpenVINO.

The tests export every pair that fits and compare it at five sizes; what is named here is what they
expect to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from segloom.errors import ConfigError
from segloom.models.encoders.facts import encoder_facts
from segloom.models.matrix import EncoderCell, Fit, encoder_matrix, fit_matrix

__all__ = [
    "NOT_EXPORTED",
    "NOT_IN_OPENVINO",
    "check_encoder",
    "export_matrix",
    "exported_encoders",
]

NOT_EXPORTED: Mapping[tuple[str, str], str] = {}
"""Why the gate refuses the ONNX file of an architecture with an enhancement (empty for none), which
is named as the command line names it. All pairs pass at present."""

NOT_IN_OPENVINO: Mapping[tuple[str, str], str] = {}
"""The same of the file for OpenVINO, where the one in ONNX passes."""


SHIFTED_WINDOWS = frozenset({"swin_transformer", "swin_transformer_v2"})
"""timm's modules of encoders whose masks follow from the size of the image in so many ways that
PyTorch's exporter does not get through them in minutes, however small the network is."""


def check_encoder(encoder_name: str) -> None:
    """Refuse an encoder that cannot be exported for images of any size.

    Raises:
        ConfigError: It is one.
    """
    name = encoder_name.removeprefix("tu-")
    if name != encoder_name and encoder_facts(name).family in SHIFTED_WINDOWS:
        raise ConfigError(
            f"networks on {encoder_name} are not exported: PyTorch's exporter does not get through "
            "its shifted windows at an open image size; train on another encoder, such as a "
            "ConvNeXt or a plain vision transformer."
        )


def exported_encoders(progress: Callable[[int, int], None] | None = None) -> list[EncoderCell]:
    """Build an encoder of every family under every architecture, and say what exports.

    Args:
        progress: Called after each cell with the number done and the number of all.
    """
    return [
        cell if cell.refusal else cell._replace(export=_encoder_objection(cell.encoder))
        for cell in encoder_matrix(progress)
    ]


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
