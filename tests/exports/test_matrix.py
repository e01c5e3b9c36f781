"""Every architecture with every enhancement that fits exports to both formats, at any size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.cells import small_encoder
from support.exports import LABELS, Photographs
from support.networks import build

from segloom.config import DataConfig
from segloom.enhancements import enhancement_class, list_enhancements
from segloom.errors import ConfigError, ExportRefusedError
from segloom.exports.effects import disturbed
from segloom.exports.gate import GateLimits, compare_sizes
from segloom.exports.making import write_exact
from segloom.exports.matrix import NOT_EXPORTED, NOT_IN_OPENVINO
from segloom.exports.openvino_file import convert_to_openvino
from segloom.exports.run import describe
from segloom.inference import InferenceGraph
from segloom.models import list_architectures
from segloom.runtime.opening import open_session

QUICK = {("pspnet", ""), ("unet", "afma"), ("sfnet", "")}
"""What went wrong before its operators were swapped: in silence, and sfnet in OpenVINO alone."""


def variants() -> list[str]:
    return [
        ":".join(filter(None, [name, ",".join(f"{key}={value}" for key, value in options.items())]))
        for name in list_enhancements()
        for options in enhancement_class(name).variants
    ]


@pytest.mark.parametrize("cell", {**NOT_EXPORTED, **NOT_IN_OPENVINO})
def test_what_is_said_not_to_export_is_a_cell(cell: tuple[str, str]) -> None:
    assert cell[0] in list_architectures()
    assert cell[1] in ("", *variants())


CELLS = [
    pytest.param(a, e, id=f"{a}-{e}", marks=[] if (a, e) in QUICK else [pytest.mark.slow])
    for a in list_architectures()
    for e in ("", *variants())
]


@pytest.mark.parametrize(("architecture", "enhancement"), CELLS)
def test_each_cell_passes_the_gate(architecture: str, enhancement: str, tmp_path: Path) -> None:
    options = {"enhancements": enhancement} if enhancement else {}
    try:
        model = build(architecture, small_encoder(architecture), classes=2, **options)
    except ConfigError as error:
        pytest.skip(f"they do not fit: {error}")
    # Nothing that starts at zero effect may pass because of that.
    model = disturbed(model)
    images, description = Photographs(num_classes=2), describe(model, LABELS, DataConfig())
    graph = InferenceGraph(model).eval()
    if reason := NOT_EXPORTED.get((architecture, enhancement)):
        with pytest.raises(ExportRefusedError):
            compare_sizes(graph, write_exact(model, tmp_path, description), images, GateLimits())
        pytest.skip(reason)
    checks = compare_sizes(graph, write_exact(model, tmp_path, description), images, GateLimits())
    assert len({check.size for check in checks}) == 5
    assert max(check.error for check in checks) < 2e-5
    description = replace(description, format="openvino", file="model.xml")
    convert_to_openvino(tmp_path / "model.onnx", tmp_path / description.file)
    session = open_session(tmp_path, description)
    if reason := NOT_IN_OPENVINO.get((architecture, enhancement)):
        with pytest.raises(ExportRefusedError):
            compare_sizes(graph, session, images, GateLimits())
        pytest.skip(reason)
    checks = compare_sizes(graph, session, images, GateLimits())
    assert len({check.size for check in checks}) == 5
    assert max(check.error for check in checks) < 5e-5
