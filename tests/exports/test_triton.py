"""The model repository is one by Triton's own description of the format."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from support.onnx_files import LABELS, write_export

from segloom.cli.main import main
from segloom.exports.triton import write_repository
from segloom.exports.web import BUNDLE, WASM
from segloom.runtime import Description, is_export


@pytest.fixture(scope="module")
def protocol() -> Any:
    """Triton's description of a configuration, without the client that needs gRPC."""
    client = find_spec("tritonclient")
    if client is None or client.origin is None:
        pytest.skip("tritonclient is not installed")
    path = Path(client.origin).parent / "grpc" / "model_config_pb2.py"
    spec = spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_repository_describes_the_network(tmp_path: Path, protocol: Any) -> None:
    folder = write_export(tmp_path / "export")
    repository = write_repository(folder, Description.read(folder), "street scenes (2)")
    assert repository == folder / "triton"
    (place,) = repository.iterdir()
    assert place.name == "street-scenes-2"
    assert (place / "1" / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    assert (place / "labels.txt").read_text().split() == list(LABELS.classes)
    found = text_format.Parse((place / "config.pbtxt").read_text(), protocol.ModelConfig())
    assert (found.name, found.backend, found.max_batch_size) == (place.name, "onnxruntime", 8)
    assert found.HasField("dynamic_batching")
    tensors = {t.name: (t.data_type, list(t.dims)) for t in (*found.input, *found.output)}
    uint8, floats = protocol.DataType.TYPE_UINT8, protocol.DataType.TYPE_FP32
    assert tensors == {
        "image": (uint8, [-1, -1, 3]),
        "labels": (uint8, [-1, -1]),
        "logits": (floats, [3, -1, -1]),
    }


@pytest.mark.parametrize("kind", ["triton", "web"])
def test_the_command_puts_it_beside_the_export(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    for name in (BUNDLE, WASM):
        (tmp_path / name).write_bytes(b"1")
    out = tmp_path / "squares"
    words = ["export", str(run), "--out", str(out), "--format", kind, "--ort-web", str(tmp_path)]
    assert main(words) == 0
    assert is_export(out)
    last = capsys.readouterr().out.strip().splitlines()[-1]
    if kind == "triton":
        assert (out / "triton" / "squares" / "config.pbtxt").is_file()
        assert last == f"{out / 'triton'} is a model repository: tritonserver --model-repository"
    else:
        assert 'id="model"' in (out / "page.html").read_text()
        size = (out / "page.html").stat().st_size / 1e6
        assert last.startswith(f"{out / 'page.html'} has {size:.1f} MB; open it")
