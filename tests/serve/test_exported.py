"""An exported network behind the server: the same answers, and no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from support.onnx_files import colour_logits, write_export
from support.servers import free_port, pixels, png, running

from segloom.config.evaluation import InferenceConfig
from segloom.errors import ConfigError
from segloom.serve.models import open_models

PROGRAM = """
import json, sys, threading
sys.path[:0] = json.loads(sys.argv[1])
from support.servers import picture, png, when_ready
from segloom.cli.main import main
port = int(sys.argv[3])
statuses = []
def ask(client):
    for output in ("json", "label", "polygons", "overlay", "confidence"):
        answer = client.post("/v1/segment", params={"output": output}, content=png(picture()))
        statuses.append(answer.status_code)
when_ready(port, ask)
code = main(["serve", sys.argv[2], "--port", str(port)])
heavy = [name for name in ("torch", "torchvision", "timm", "scipy") if name in sys.modules]
print(json.dumps({"code": code, "statuses": statuses, "heavy": heavy}))
"""


def test_answers_are_those_of_the_graph(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 21, 3), np.uint8)
    logits = colour_logits(image)
    powers = np.exp(logits - logits.max(0))
    sure = (powers / powers.sum(0)).max(0)
    with running(open_models([str(write_export(tmp_path / "colours"))], InferenceConfig())) as c:

        def ask(output: str) -> httpx.Response:
            return c.post("/v1/segment", params={"output": output}, content=png(image))

        np.testing.assert_array_equal(pixels(ask("label").content), logits.argmax(0))
        found = pixels(ask("confidence").content).astype(int)
        assert np.abs(found - sure * 255).max() <= 0.51
        about = c.get("/v2/models/colours").json()
        assert about["platform"] == "onnxruntime_onnx"


def test_an_exported_network_is_served_without_torch(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "colours")
    words = [json.dumps([*sys.path, str(Path(__file__).parents[1])]), str(folder)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, str(free_port())],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {"code": 0, "statuses": [200] * 5, "heavy": []}


def test_options_that_an_exported_network_does_not_take_are_refused(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "colours")
    with pytest.raises(ConfigError, match=r"leave --inference\.precision and .* out"):
        open_models([str(folder)], InferenceConfig(precision="bf16"))


def test_an_exported_network_sees_windows_and_mirror_images(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "colours")
    options = InferenceConfig(flip=True, window=(16, 16))
    image = np.random.default_rng(0).integers(0, 256, (33, 21, 3), np.uint8)
    (model,) = open_models([str(folder)], options)
    found = model.segment(image).label_map
    # It looks at single pixels: windows and mirror images change nothing.
    np.testing.assert_array_equal(found, colour_logits(image).argmax(0))
