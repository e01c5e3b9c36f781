"""Encoders of the families of today export at any size, to both formats, or are refused."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.exports import LABELS, Photographs
from support.networks import build
from support.small_encoders import small_encoders

from segloom.config import DataConfig
from segloom.errors import ConfigError
from segloom.exports import export
from segloom.exports.gate import GateLimits, compare_sizes
from segloom.exports.making import write_exact
from segloom.exports.matrix import TRIED, UNTRIED, check_encoder, exported_encoders
from segloom.exports.openvino_file import convert_to_openvino
from segloom.exports.run import describe
from segloom.inference import InferenceGraph
from segloom.models import list_architectures, matrix
from segloom.models.matrix import FAMILIES
from segloom.runtime.opening import open_session

SWIN = ("tu-swin_tiny_patch4_window7_224", "tu-swinv2_tiny_window8_256")
QUICK = {("tu-vit_small_patch14_dinov2", "linear"), ("tu-hiera_tiny_224", "unet")}
CELLS = [
    (encoder, architecture)
    for encoder, architectures in TRIED.items()
    for architecture in architectures
]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with small_encoders(monkeypatch), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Encoder does not have prefix tokens")
        yield


@pytest.mark.parametrize(
    ("encoder", "architecture"),
    [
        pytest.param(*cell, id="-".join(cell), marks=[] if cell in QUICK else [pytest.mark.slow])
        for cell in CELLS
    ],
)
def test_each_family_passes_the_gate(encoder: str, architecture: str, tmp_path: Path) -> None:
    model = build(architecture, encoder, classes=2)
    images, description = Photographs(num_classes=2), describe(model, LABELS, DataConfig())
    graph = InferenceGraph(model).eval()
    checks = compare_sizes(graph, write_exact(model, tmp_path, description), images, GateLimits())
    assert len({check.size for check in checks}) == 5
    description = replace(description, format="openvino", file="model.xml")
    convert_to_openvino(tmp_path / "model.onnx", tmp_path / description.file)
    compare_sizes(graph, open_session(tmp_path, description), images, GateLimits())


@pytest.mark.parametrize("encoder", SWIN)
def test_shifted_windows_are_refused(encoder: str) -> None:
    with pytest.raises(ConfigError, match=rf"networks on {encoder} are not exported"):
        check_encoder(encoder)
    check_encoder("resnet18")
    check_encoder("tu-hiera_tiny_224")


def test_an_export_on_shifted_windows_writes_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segloom.exports.matrix.FAMILIES_NOT_EXPORTED", {"resnet": "no reason"})
    with pytest.raises(ConfigError, match="are not exported: no reason; train on another"):
        export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_matrix_says_which_encoders_do_not_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "FAMILIES", (SWIN[0], "tu-test_resnet", "tu-test_convnext"))
    monkeypatch.setattr(matrix, "list_architectures", lambda: ["fpn", "eomt"])
    cells = {cell[:2]: cell for cell in exported_encoders()}
    assert "are not exported" in cells[SWIN[0], "fpn"].export
    assert cells[SWIN[0], "eomt"].refusal
    assert not cells[SWIN[0], "eomt"].export
    assert not cells["tu-test_resnet", "fpn"].export
    assert not cells["tu-test_resnet", "fpn"].untried
    assert cells["tu-test_convnext", "fpn"].untried == UNTRIED
    table = matrix.markdown_table(list(cells.values())).splitlines()
    assert table[3].startswith("| tu-test_resnet | yes | no (")
    assert table[4].startswith("| tu-test_convnext | fits (")


def test_what_is_said_to_be_tried_is_in_the_matrix() -> None:
    assert set(TRIED) <= set(FAMILIES)
    assert {architecture for _, architecture in CELLS} <= set(list_architectures())
    assert set(TRIED).isdisjoint(SWIN)
