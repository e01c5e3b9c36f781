"""A network that 8 bits destroy is exported with the layers at fault in floating point."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.exports import LABELS, Photographs

from segloom.config import DataConfig
from segloom.errors import ExportRefusedError
from segloom.exports import Export, int8
from segloom.exports.gate import GateLimits, network_logits
from segloom.exports.int8 import fewest, rank
from segloom.exports.making import FILES
from segloom.exports.onnx_int8 import OnnxQuantizer
from segloom.exports.pictures import Example
from segloom.exports.run import Gate, describe
from segloom.inference import InferenceGraph
from segloom.models import SegmentationModel
from segloom.runtime.description import ExportFormat
from segloom.runtime.session import OnnxSession


def never() -> float:
    return time.monotonic() + 1e6


@pytest.mark.parametrize("least", [1, 2, 3, 5, 8, 11, 12])
def test_the_fewest_layers_are_found_and_tried_last(least: int) -> None:
    tried: list[int] = []

    def passes(count: int) -> str | None:
        tried.append(count)
        return f"{count} layers" if count >= least else None

    assert fewest(passes, 12, never()) == (least, f"{least} layers")
    assert tried[-1] == least  # its file is the one that lies there
    assert len(tried) <= 8


def test_what_never_passes_is_tried_up_to_the_most_or_the_end_of_the_time() -> None:
    assert fewest(lambda count: None, 12, never()) == (12, None)
    assert fewest(lambda count: count, 12, time.monotonic() - 1) == (0, None)
    times: Iterator[int] = iter([1, 2])

    def slow(count: int) -> None:
        if next(times) == 2:
            time.sleep(0.06)

    assert fewest(slow, 12, time.monotonic() + 0.05) == (2, None)


class Damaged:
    """A quantiser whose layers do known damage."""

    layers = ("a", "b", "c", "d")

    def damage(self, layer: str, pixels: np.ndarray) -> float:
        assert pixels.shape == (4, int8.RANKING_SIDE, int8.RANKING_SIDE, 3)
        return {"a": 0.1, "b": math.nan, "c": 0.0, "d": 3.0}[layer]


def test_layers_are_ranked_by_damage_and_those_not_measured_come_last() -> None:
    images = [np.zeros((1, 60, 80, 3), np.uint8)] * 7
    told: list[str] = []
    ranked = rank(Damaged(), images, never(), lambda what, *_: told.append(what))  # type: ignore[arg-type]
    assert ranked == ["b", "d", "a", "c"]
    assert told == ["measuring the damage of each of 4 layers"]
    late = rank(Damaged(), images, time.monotonic() - 1, lambda *_: None)  # type: ignore[arg-type]
    assert late == ["a", "b", "c", "d"]


def test_a_layer_left_in_floating_point_does_no_damage(exported: Export, tmp_path: Path) -> None:
    source, pixels = exported.folder / "model.onnx", Photographs(1)[0].pixels[None]
    quantizer = OnnxQuantizer(source, [pixels])
    heads = [layer for layer in quantizer.layers if layer.startswith("segmentation_head.0/")]
    (head,) = heads
    quantizer.write(tmp_path / "all.onnx")
    quantizer.write(tmp_path / "but_one.onnx", heads)
    weights = {
        name: [t.name for t in onnx.load(tmp_path / name).graph.initializer if "head" in t.name]
        for name in ("all.onnx", "but_one.onnx")
    }
    assert any(name.endswith("quantized") for name in weights["all.onnx"])
    assert not any(name.endswith("quantized") for name in weights["but_one.onnx"])
    quantizer.write(tmp_path / "none.onnx", quantizer.layers)
    expected = OnnxSession(source).logits(pixels)
    np.testing.assert_array_equal(OnnxSession(tmp_path / "none.onnx").logits(pixels), expected)
    assert quantizer.damage(head, pixels) > 0


def test_a_file_that_no_choice_saves_is_refused_with_the_first_figure(
    exported: Export, tmp_path: Path
) -> None:
    description = replace(exported.description, precision="int8")

    def judge(session: OnnxSession) -> None:
        raise ExportRefusedError("mIoU is 12 %; nothing is written.")

    with pytest.raises(ExportRefusedError, match=r"mIoU is 12 %; .* With the 0 worst of its \d+ l"):
        int8.quantize(
            {"onnx": exported.folder / "model.onnx"},
            tmp_path,
            description,
            [Photographs(1)[0].pixels[None]],
            judge,  # type: ignore[arg-type]
            seconds=0,
            tell=lambda *_: None,
        )


class Answered(Photographs):
    """Images whose ground truth is what a network says."""

    def __init__(self, model: SegmentationModel, count: int) -> None:
        super().__init__(count)
        self.graph = InferenceGraph(model).eval()

    def __getitem__(self, index: int) -> Example:
        example = super().__getitem__(index)
        logits = torch.from_numpy(network_logits(self.graph, example.pixels[None]))
        return replace(example, truth=self.graph.label_logits(logits)[0].numpy())


@pytest.fixture(scope="module")
def fragile(make_model: Callable[..., SegmentationModel]) -> SegmentationModel:
    """A network with channels 10,000 times the others in one map, which its weights undo.

    In floating point nothing changes. In 8 bits one scale for the whole map leaves nothing of the
    other channels, and one for a row of the weights nothing of those that undo it.
    """
    model = make_model("unet", "tu-test_resnet", classes=2)
    block = list(model.decoder.blocks)[-1]
    with torch.no_grad():
        for part in (block.conv1[1].weight, block.conv1[1].bias):
            part[:2] *= 1e4
        block.conv2[0].weight[:, :2] *= 1e-4
        logits = model(torch.rand(2, 3, 64, 64))
        model.segmentation_head[0].bias -= logits.mean((0, 2, 3))  # so that both classes are found
    return model


def gate_of(model: SegmentationModel, kind: ExportFormat) -> Gate:
    plain = describe(model, LABELS, DataConfig())
    description = replace(plain, format=kind, precision="int8", file=FILES[kind])
    # Nobody trained it, so that many pixels lie between its classes.
    limits = GateLimits.of_precision("int8", 0.1, 0.15)
    images = Answered(model, 3)
    return Gate(model, description, images, Answered(model, 2), limits, 0, 60, None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_layers_at_fault_stay_in_floating_point(
    fragile: SegmentationModel, kind: ExportFormat, tmp_path: Path
) -> None:
    findings = gate_of(fragile, kind).make(tmp_path)
    floating = json.loads(json.dumps(findings.to_json()))["floating"]
    at_fault = {"decoder.blocks.4.conv1.0", "decoder.blocks.4.conv2.0"}
    assert {layer.partition("/")[0] for layer in floating["layers"][:2]} == at_fault
    assert len(floating["layers"]) < 0.2 * floating["of_layers"]
    assert "the exported file's mIoU is" in floating["reason"]
    assert floating["seconds"] > 0
    assert findings.scores.exported is not None
    assert findings.scores.exported > 0.9
    assert {path.suffix for path in tmp_path.iterdir()} == (
        {".onnx"} if kind == "onnx" else {".xml", ".bin"}
    )
