"""OpenVINO and 8 bits: the same gate, and the figures that it judges by."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.exports import Photographs

from segloom.cli.main import main
from segloom.errors import CheckpointError, ConfigError, ExportRefusedError
from segloom.exports import Export, export
from segloom.exports.gate import GateLimits, ScoreCheck, judge_scores
from segloom.exports.int8 import quantize
from segloom.exports.making import set_aside
from segloom.exports.openvino_file import convert_to_openvino
from segloom.exports.pictures import halves
from segloom.inference import bfloat16_is_fast
from segloom.runtime import load
from segloom.runtime.model import load_described

CLOSE_AND_SIGNAL = """
import faulthandler, gc, signal, sys, numpy
from segloom.runtime import load
faulthandler.enable()
first, second = (load(sys.argv[1], threads=1) for _ in range(2))
for model in (first, second):
    model.label_map(numpy.zeros((45, 77, 3), numpy.uint8))
del model, first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
signal.raise_signal(signal.SIGINT)
"""


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def openvino(exported: Export, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The ONNX file of the other tests in the form of OpenVINO."""
    folder = tmp_path_factory.mktemp("openvino")
    convert_to_openvino(exported.folder / "model.onnx", folder / "model.xml")
    description = replace(exported.description, format="openvino", file="model.xml")
    (folder / "model.json").write_text(json.dumps(description.to_json()))
    return Export(folder, description, exported.findings)


def test_openvino_answers_as_onnx_runtime_does(exported: Export, openvino: Export) -> None:
    first, second = load(exported.folder, threads=1), load(openvino.folder, threads=1)
    assert second.session.device == "OpenVINO CPU f32"
    inside = json.loads(second.session.metadata["segloom"])
    assert inside["classes"] == ["ground", "square"]
    for size in ((1, 1), (45, 77), (96, 130)):
        image = picture(*size)
        np.testing.assert_allclose(
            second.probabilities(image), first.probabilities(image), atol=1e-5
        )
        np.testing.assert_array_equal(second.label_map(image), first.label_map(image))


def test_a_signal_is_survived_after_models_are_closed(openvino: Export) -> None:
    """Closed in another order than they were opened, as a server or a notebook does."""
    done = subprocess.run(
        [sys.executable, "-c", CLOSE_AND_SIGNAL, str(openvino.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@pytest.mark.skipif(not bfloat16_is_fast(), reason="the processor has no bfloat16")
def test_precision_of_openvino_is_the_one_described(openvino: Export) -> None:
    model = load_described(openvino.folder, replace(openvino.description, precision="bf16"))
    assert model.session.device == "OpenVINO CPU bf16"
    exact, image = load(openvino.folder), picture(96, 130)
    difference = np.abs(model.probabilities(image) - exact.probabilities(image)).max()
    assert 1e-6 < difference < 0.1


def test_damaged_files_of_openvino_are_named(openvino: Export, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps(openvino.description.to_json()))
    with pytest.raises(CheckpointError, match=r"model.xml or its .bin is missing"):
        load(tmp_path)
    (tmp_path / "model.xml").write_text("<net>")
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is damaged or no file of OpenVINO"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_eight_bits_are_smaller_and_close(
    name: str, exported: Export, openvino: Export, tmp_path: Path
) -> None:
    source = {"onnx": exported, "openvino": openvino}[name]
    for file in (*exported.folder.glob("model.*"), *source.folder.glob("model.*")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    description = replace(source.description, precision="int8")
    images = [Photographs(4)[index].pixels[None] for index in range(4)]
    (aside := tmp_path / "aside").mkdir()
    files = set_aside(tmp_path, aside, description)
    assert not list(tmp_path.glob("model.[obx]*"))
    session, seen, floating = quantize(
        files,
        tmp_path,
        description,
        images,
        lambda session: session.device,
        seconds=0,
        tell=lambda *_: None,
    )
    assert (seen, floating.layers) == (session.device, [])
    weights = {"onnx": "model.onnx", "openvino": "model.bin"}[name]
    before, after = ((folder / weights).stat().st_size for folder in (source.folder, tmp_path))
    assert after < 0.6 * before
    assert json.loads(session.metadata["segloom"])["classes"] == ["ground", "square"]
    pixels = picture(96, 130)[None]
    exact = load(source.folder).session.logits(pixels)
    difference = np.abs(session.logits(pixels) - exact).max() / np.abs(exact).max()
    assert 1e-4 < difference < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_openvino_from_the_command_line(run: Path, tmp_path: Path, precision: str) -> None:
    words = ["export", str(run), "--out", str(tmp_path / "out"), "--format", "openvino"]
    # Nobody trained the network, so its IoU may move by any amount.
    words += ["--precision", precision, "--tolerance", "100", "--class-tolerance", "100"]
    assert main(words) == 0
    gate = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert len(gate["sizes"]) == 5
    assert len(gate["reduced_sizes"]) == (5 if precision == "int8" else 0)
    assert gate["calibration"] == ("split train" if precision == "int8" else None)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"model.xml", "model.bin", "model.json"}
    assert not {name for name in names if "exact" in name or "onnx" in name}


def test_precisions_that_a_format_has_not_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--format onnx is written in fp32 or int8, not in bf16"):
        export(run, tmp_path / "out", precision="bf16")


def test_images_for_calibration_are_not_those_compared() -> None:
    first, second = halves(Photographs(5))
    assert (len(first), len(second)) == (3, 2)
    seen = [{images[i].name for i in range(len(images))} for images in (first, second)]
    assert seen == [{"0", "2", "4"}, {"1", "3"}]
    with pytest.raises(ConfigError, match="holds one image"):
        halves(Photographs(1))


def scores(exported: float, **per_class: tuple[float, float]) -> ScoreCheck:
    pairs = {name: list(pair) for name, pair in per_class.items()}
    return ScoreCheck(10, 0.9, 0.7, exported, pairs or {"road": [0.7, exported]})


def test_below_fp32_the_loss_counts_and_not_the_labels() -> None:
    limits = GateLimits.of_precision("int8", 0.005, 0.05)
    judge_scores(scores(0.696), limits)
    judge_scores(scores(0.75), limits)  # better than the network
    with pytest.raises(ExportRefusedError, match=r"mIoU is 69.00 %, but the network's 70.00 %"):
        judge_scores(scores(0.69), limits)
    with pytest.raises(ExportRefusedError, match=r"only 90.0000 % of"):
        judge_scores(scores(0.696), GateLimits.of_precision("fp32", 0.005, 0.05))


def test_a_small_class_that_dies_is_refused_by_name() -> None:
    limits = GateLimits.of_precision("int8", 0.005, 0.05)
    judge_scores(scores(0.698, road=(0.9, 0.91), pole=(0.2, 0.16)), limits)
    with pytest.raises(ExportRefusedError, match=r"IoU of the class 'pole' is 4.00 %, but the net"):
        judge_scores(scores(0.698, road=(0.9, 0.91), pole=(0.2, 0.04)), limits)


def test_without_ground_truth_the_labels_count() -> None:
    limits = GateLimits.of_precision("int8", 0.005, 0.05)
    judge_scores(ScoreCheck(10, 0.96), limits)
    with pytest.raises(ExportRefusedError, match=r"only 94.0000 % of .* fewer than 95 %"):
        judge_scores(ScoreCheck(10, 0.94), limits)
