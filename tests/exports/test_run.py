"""An export is proven, complete and readable, or it is not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from segloom.cli.main import main
from segloom.config import InferenceConfig
from segloom.errors import ConfigError, ExportRefusedError
from segloom.exports import Export, export
from segloom.inference import Predictor
from segloom.runtime import load


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_folder_is_complete(exported: Export) -> None:
    names = {path.name for path in exported.folder.iterdir()}
    assert names == {"README.md", "gate.json", "model.json", "model.onnx", "preview.png"}
    assert [path.name for path in exported.folder.parent.iterdir()] == ["unet"]
    card = (exported.folder / "README.md").read_text()
    assert "# unet on tu-test_resnet" in card
    assert "| 1 | square | 255, 200, 0 |" in card
    with Image.open(exported.folder / "preview.png") as preview:
        colors = {tuple(pixel) for row in np.asarray(preview) for pixel in row}
    assert (255, 200, 0) in colors


def test_gate_compared_at_five_sizes_and_on_the_split(exported: Export) -> None:
    gate = json.loads((exported.folder / "gate.json").read_text())
    assert len({check["size"] for check in gate["sizes"]}) == 5
    assert all(check["error"] <= 1e-5 for check in gate["sizes"])
    assert gate["scores"]["images"] == 3
    assert gate["scores"]["agreement"] == 1
    assert gate["scores"]["network"] == gate["scores"]["exported"]
    assert gate["device"] == "CPUExecutionProvider"


def test_description_stands_in_the_file_as_well(exported: Export) -> None:
    session = onnxruntime.InferenceSession(exported.folder / "model.onnx")
    inside = json.loads(session.get_modelmeta().custom_metadata_map["segloom"])
    assert inside == json.loads((exported.folder / "model.json").read_text())
    assert inside["classes"] == ["ground", "square"]
    assert inside["input"]["channels"] == ["red", "green", "blue"]
    (image,) = session.get_inputs()
    assert (image.name, image.type) == ("image", "tensor(uint8)")
    assert image.shape == ["batch", "height", "width", 3]
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == {
        "labels": ["batch", "height", "width"],
        "logits": ["batch", 2, "height", "width"],
        "probabilities": ["batch", 2, "height", "width"],
    }


def test_file_tells_nothing_of_the_machine(exported: Export) -> None:
    content = (exported.folder / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"site-packages" not in content
    assert onnx.load(exported.folder / "model.onnx").producer_name == "segloom"


@pytest.mark.parametrize("size", [(1, 1), (45, 77), (96, 130)])
def test_answers_are_those_of_the_program(run: Path, exported: Export, size: tuple) -> None:
    predictor = Predictor.from_path(run, InferenceConfig(device="cpu"))
    model, image = load(exported.folder, threads=1), picture(*size)
    result = model(image, probabilities=True)
    np.testing.assert_allclose(result.probabilities, predictor.probabilities(image), atol=1e-5)
    np.testing.assert_array_equal(result.label_map, predictor.label_map(image))
    np.testing.assert_array_equal(model(image).label_map, result.label_map)
    assert model(image).probabilities is None
    assert result.classes == ("ground", "square")


def test_a_file_of_other_weights_is_refused_and_nothing_is_left(
    exported: Export,
    make_run: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "segloom.exports.making.write_onnx",
        lambda form, path, description: shutil.copy(exported.folder / "model.onnx", path),
    )
    other = make_run("fpn")
    assert main(["export", str(other), "--out", str(tmp_path / "new")]) == 1
    assert "at 1 x 1 x 1 pixels the exported file's logits differ" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    earlier = shutil.copytree(exported.folder, tmp_path / "earlier")
    before = {path.name: path.read_bytes() for path in earlier.iterdir()}
    with pytest.raises(ExportRefusedError):
        export(other, earlier)
    assert {path.name: path.read_bytes() for path in earlier.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]


def test_an_earlier_export_is_replaced_and_anything_else_is_not(
    run: Path,
    exported: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "segloom.exports.making.write_onnx",
        lambda form, path, description: shutil.copy(exported.folder / "model.onnx", path),
    )
    earlier = shutil.copytree(exported.folder, tmp_path / "earlier")
    (earlier / "stray.txt").write_text("of the earlier export")
    words = ["export", str(run), "--out", str(earlier), "--max-images", "2", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores"]["images"] == 2
    assert found["folder"] == str(earlier)
    assert not (earlier / "stray.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]
    with pytest.raises(ConfigError, match="holds something else than an export"):
        export(run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]


def test_the_run_notes_its_export_and_its_report_shows_it(
    make_run: Callable[..., Path],
    exported: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run()  # the same weights as those of the other export
    folder = run / "eval" / "val"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(
        '{"version": 1, "split": "val", "num_images": 3, "classes": ["ground", "square"],'
        ' "palette": [[0, 0, 0], [255, 200, 0]], "scores": {"mIoU": 0.5}}'
    )
    monkeypatch.setattr(
        "segloom.exports.making.write_onnx",
        lambda form, path, description: shutil.copy(exported.folder / "model.onnx", path),
    )
    export(run, out := tmp_path / "out")
    note = json.loads((run / "gates" / "onnx_fp32.json").read_text())
    assert note["folder"] == str(out)
    assert note["scores"] == json.loads((out / "gate.json").read_text())["scores"]
    assert note["megabytes"] == round((out / "model.onnx").stat().st_size / 1e6, 1)
    assert "onnx fp32" in (folder / "report.html").read_text()
