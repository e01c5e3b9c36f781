"""From a network to the file of a format and a precision, opened by its own runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segloom.errors import ConfigError
from segloom.exports.form import ExportForm
from segloom.exports.onnx_file import require_onnx, write_onnx
from segloom.exports.openvino_file import (
    convert_to_openvino,
    quantize_openvino,
    require_openvino,
)
from segloom.models.model import SegmentationModel
from segloom.runtime.description import Description, ExportFormat, Precision
from segloom.runtime.opening import open_session
from segloom.runtime.session import Session

__all__ = ["FILES", "check_format", "reduce_precision", "write_exact"]

FILES: dict[ExportFormat, str] = {
    "onnx": "model.onnx",
    "openvino": "model.xml",
}
PRECISIONS: dict[ExportFormat, tuple[Precision, ...]] = {
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
}


def check_format(format_name: ExportFormat, precision: Precision) -> None:
    """Refuse a precision that a format has not, and a format whose packages are missing.

    Raises:
        ConfigError: As said.
    """
    if precision not in PRECISIONS[format_name]:
        raise ConfigError(
            f"--format {format_name} is written in {' or '.join(PRECISIONS[format_name])}, not in "
            f"{precision}; choose one of these, or --format openvino."
        )
    require_onnx()
    if format_name == "openvino":
        require_openvino(precision)


def write_exact(model: SegmentationModel, folder: Path, description: Description) -> Session:
    """Write the file in fp32, whatever precision is described, and open it.

    Args:
        model: The network.
        folder: Where the file goes.
        description: Of the export.
    """
    form = ExportForm(model, probabilities=description.has_probabilities)
    file = folder / description.file
    if description.format == "openvino":
        onnx_file = folder / FILES["onnx"]
        write_onnx(form, onnx_file, description)
        convert_to_openvino(onnx_file, file)
        onnx_file.unlink()
    else:
        write_onnx(form, file, description)
    return open_session(folder, replace(description, precision="fp32"))


def reduce_precision(
    folder: Path, description: Description, images: Sequence[NDArray[np.uint8]]
) -> Session:
    """Bring the file that `write_exact` wrote to the precision described, and open it.

    Args:
        folder: Where it lies.
        description: Of the export.
        images: ``(B, H, W, C)``, what ranges of values are taken from.
    """
    if description.precision == "int8":
        file = folder / description.file
        exact = folder / f"exact_{description.file}"
        for path in (file, file.with_suffix(".bin")):
            if path.is_file():
                path.rename(path.with_name(f"exact_{path.name}"))
        if description.format == "openvino":
            quantize_openvino(exact, file, images)
            exact.with_suffix(".bin").unlink()
        else:
            from segloom.exports.onnx_int8 import quantize_onnx

            quantize_onnx(exact, file, images)
        exact.unlink()
    return open_session(folder, description)
