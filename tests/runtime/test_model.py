"""Opening an exported folder: what it needs, what it says when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segloom.errors import CheckpointError, DataError
from segloom.labels.palette import default_palette
from segloom.labels.space import Exclusive, Overlapping
from segloom.runtime import Description, ExportedModel, load
from segloom.types import LabelSet


def description(mode: str = "multiclass", edges: int = 0, classes: int = 3) -> Description:
    names = tuple(f"class_{index}" for index in range(classes))
    return Description(
        format="onnx",
        precision="fp32",
        file="model.onnx",
        network="unet on resnet18",
        mode=mode,
        labels=LabelSet(names, default_palette(classes), is_multilabel=mode == "multilabel"),
        image_channels=3,
        edge_channels=edges,
        mean=(0.5, 0.25, 0.125, 0.0)[: 3 + edges],
        std=(0.5, 0.5, 0.5, 1.0)[: 3 + edges],
        hu_window=(-200.0, 300.0),
        has_probabilities=False,
        weights_sha256="0" * 64,
        segloom_version="0.1.0",
    )


class Fixed:
    """A session whose logits are the image's channels."""

    device, metadata = "numpy", {}

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return images.transpose(0, 3, 1, 2).astype(np.float32) / 50 - 2

    def labels(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        return self.logits(images).argmax(1).astype(np.uint8)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("edges", [0, 1])
def test_description_survives_its_file(tmp_path: Path, mode: str, edges: int) -> None:
    expected = description(mode, edges)
    (tmp_path / "model.json").write_text(json.dumps(expected.to_json()))
    assert Description.read(tmp_path) == expected
    assert expected.num_channels == 3 + edges
    assert expected.to_json()["input"]["channels"] == ["red", "green", "blue", "edges"][: 3 + edges]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segloom_export": 99}, "is of a newer program"),
        ({"classes": None}, "does not describe an exported network"),
        ({"palette": [[0, 0, 0]]}, "give one colour per class"),
        ({"file": "../model.onnx"}, "names a file outside its folder"),
        ({}, "model.onnx is missing"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, change: dict, words: str) -> None:
    (tmp_path / "model.json").write_text(json.dumps({**description().to_json(), **change}))
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path)


def test_a_folder_without_export_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not an exported network: it has no model\.json"):
        load(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"model.json cannot be read"):
        load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(description().to_json()))
    (tmp_path / "model.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=r"model.onnx is damaged or no ONNX file"):
        load(tmp_path)


def test_a_path_a_picture_and_an_array_are_answered_alike(tmp_path: Path) -> None:
    model = ExportedModel(description(), Fixed())
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path := tmp_path / "a.png")
    for image in (path, str(path), Image.fromarray(pixels), pixels):
        result = model(image, probabilities=True)
        np.testing.assert_array_equal(result.label_map, pixels.argmax(2))
        np.testing.assert_allclose(result.probabilities.sum(0), 1, rtol=1e-6)
        assert result.labels == description().labels


def test_another_form_is_refused() -> None:
    model = ExportedModel(description(edges=1), Fixed())
    with pytest.raises(DataError, match="takes 4 channels, the last of them an edge map; this"):
        model.label_map(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="this one is float64"):
        model(np.zeros((4, 4, 4)))


def test_probabilities_are_softmax_or_sigmoids_however_large_the_logits() -> None:
    one, several = Exclusive(3), Overlapping(3)
    logits = np.array([1000.0, 0, -1000], np.float32).reshape(3, 1, 1)
    np.testing.assert_array_equal(one.activate(logits).ravel(), [1, 0, 0])
    np.testing.assert_array_equal(several.activate(logits).ravel(), [1, 0.5, 0])
    logits = np.array([0.0, np.log(3)], np.float32).reshape(2, 1, 1)
    np.testing.assert_allclose(one.activate(logits).ravel(), [0.25, 0.75], rtol=1e-6)
    np.testing.assert_allclose(several.activate(logits).ravel(), [0.5, 0.75], rtol=1e-6)
    assert several.activate(logits).dtype == np.float32


def test_it_is_opened_without_torch() -> None:
    code = "import sys, segloom.runtime; print('torch' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
