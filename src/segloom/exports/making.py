"""From a network to the file of a format and a precision, opened by its own runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from segloom.errors import ConfigError
from segloom.exports.form import ExportForm
from segloom.exports.onnx_file import require_onnx, write_onnx
from segloom.exports.openvino_file import convert_to_openvino, require_openvino
from segloom.models.model import SegmentationModel
from segloom.runtime.description import Description, ExportFormat, Precision
from segloom.runtime.opening import open_session
from segloom.runtime.session import Session

__all__ = ["FILES", "check_format", "set_aside", "write_exact"]

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
    write_onnx(form, folder / FILES["onnx"], description)
    if description.format == "openvino":
        convert_to_openvino(folder / FILES["onnx"], folder / description.file)
    return open_session(folder, replace(description, precision="fp32"))


def set_aside(folder: Path, place: Path, description: Description) -> dict[ExportFormat, Path]:
    """Move what `write_exact` wrote to another folder.

    Args:
        folder: Where it lies.
        place: The other folder.
        description: Of the export.

    Returns:
        The ONNX file, and the file of the format described.
    """
    files = {"onnx": FILES["onnx"], description.format: description.file}
    for name in {*files.values(), Path(description.file).with_suffix(".bin").name}:
        if (folder / name).is_file():
            (folder / name).rename(place / name)
    return {format_name: place / name for format_name, name in files.items()}
