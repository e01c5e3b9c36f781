"""Which enhancement and which encoder fits which architecture: each pair is built, none assumed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from segloom.enhancements import enhancement_class, list_enhancements
from segloom.errors import ConfigError
from segloom.models.architectures import list_architectures
from segloom.models.build import create_model
from segloom.models.model import SegmentationModel

__all__ = ["EncoderCell", "Fit", "encoder_matrix", "fit_matrix", "markdown_table", "middle_level"]

ENCODERS = {"dpt": "tu-test_vit", "eomt": "tu-test_vit", "linear": "tu-test_vit"}
"""For architectures that take no ResNet."""


FAMILIES = (
    "resnet18",
    "mit_b0",
    "tu-convnext_atto",
    "tu-mobilenetv4_conv_small_035",
    "tu-fastvit_t8",
    "tu-repvit_m0_9",
    "tu-efficientvit_b0",
    "tu-pvt_v2_b0",
    "tu-swin_tiny_patch4_window7_224",
    "tu-swinv2_tiny_window8_256",
    "tu-hiera_tiny_224",
    "tu-test_maxvit",
    "tu-vit_small_patch14_dinov2",
    "tu-vit_small_patch16_dinov3",
    "tu-vit_base_patch16_siglip_224",
    "tu-cait_xxs24_224",
)
"""Encoders that stand for their families: a small one of each."""


class EncoderCell(NamedTuple):
    """One encoder under one architecture, plain and with AFMA and CELT on one of its levels."""

    encoder: str
    architecture: str
    refusal: str
    """Why they do not fit; empty where they do."""
    export: str = ""
    """Why an export of them is refused; empty where it passes its gate, or they do not fit."""
    openvino: str = ""
    """The same of an export to OpenVINO, where the one to ONNX passes."""
    untried: str = ""
    """Says that no export of this pair was tried; empty where one was, or is refused."""


class Fit(NamedTuple):
    """One architecture with one enhancement."""

    architecture: str
    enhancement: str
    """As the command line names it, with the options that distinguish it."""
    refusal: str
    """Why they do not fit and what would; empty where they do."""
    export: str = ""
    """Why an export of them is refused; empty where it passes its gate, or they do not fit."""
    openvino: str = ""
    """The same of an export to OpenVINO, where the one to ONNX passes."""


def fit_matrix(progress: Callable[[int, int], None] | None = None) -> list[Fit]:
    """Build every architecture with every variant of every enhancement, on a ResNet-18.

    Args:
        progress: Called after each cell with the number done and the number of all.
    """
    variants = [
        ":".join(filter(None, [name, ",".join(f"{key}={value}" for key, value in options.items())]))
        for name in list_enhancements()
        for options in enhancement_class(name).variants
    ]
    pairs = [(a, enhancement) for a in list_architectures() for enhancement in variants]
    cells = []
    for number, (architecture, enhancement) in enumerate(pairs, 1):
        cells.append(Fit(architecture, enhancement, _refusal(architecture, enhancement)))
        if progress:
            progress(number, len(pairs))
    return cells


def encoder_matrix(progress: Callable[[int, int], None] | None = None) -> list[EncoderCell]:
    """Build an encoder of every family under every architecture.

    Args:
        progress: Called after each cell with the number done and the number of all.
    """
    pairs = [(encoder, a) for encoder in FAMILIES for a in list_architectures()]
    cells = []
    for number, (encoder, architecture) in enumerate(pairs, 1):
        cells.append(EncoderCell(encoder, architecture, _encoder_refusal(encoder, architecture)))
        if progress:
            progress(number, len(pairs))
    return cells


def middle_level(model: SegmentationModel) -> int:
    """Choose the level in the middle of those that an encoder has, the image's apart."""
    levels = [spec.level for spec in model.shape.features if spec.level and spec.channels]
    return levels[len(levels) // 2]


def _encoder_refusal(encoder: str, architecture: str) -> str:
    try:
        with warnings.catch_warnings():  # SMP's DPT recommends options to convolutional encoders
            warnings.simplefilter("ignore")
            level = middle_level(create_model(architecture, encoder_name=encoder, classes=2))
            parts = [f"celt:level={level}", f"afma:level={level}"]
            create_model(architecture, encoder_name=encoder, classes=2, enhancements=parts)
    except ConfigError as error:
        return str(error)
    return ""


def markdown_table(cells: Sequence[Fit | EncoderCell]) -> str:
    """Lay cells out as Markdown: their first values down, their second across, refusals below."""
    columns = list(dict.fromkeys(cell[1] for cell in cells))
    words = {cell[:2]: _objection(cell) for cell in cells}
    reasons = [reason for reason in dict.fromkeys(reason for _, reason in words.values()) if reason]

    def mark(cell: Fit | EncoderCell) -> str:
        what, reason = words[cell[:2]]
        return f"{what} ({reasons.index(reason) + 1})" if reason else what

    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name in dict.fromkeys(cell[0] for cell in cells):
        row = {cell[1]: mark(cell) for cell in cells if cell[0] == name}
        lines.append(f"| {name} | {' | '.join(row[column] for column in columns)} |")
    return "\n".join([*lines, "", *(f"{n}. {text}" for n, text in enumerate(reasons, 1))])


def _objection(cell: Fit | EncoderCell) -> tuple[str, str]:
    """Return the word for a cell of the table, and the reason if it is not a plain yes."""
    if cell.refusal:
        return "no", cell.refusal
    if cell.export:
        return "yes, no export", cell.export
    if cell.openvino:
        return "yes, no OpenVINO", cell.openvino
    untried = cell.untried if isinstance(cell, EncoderCell) else ""
    return ("fits", untried) if untried else ("yes", "")


def _refusal(architecture: str, enhancement: str) -> str:
    try:
        create_model(
            architecture,
            encoder_name=ENCODERS.get(architecture, "resnet18"),
            classes=2,
            enhancements=enhancement,
        )
    except ConfigError as error:
        return str(error)
    return ""
