"""Exported folders without an exporter: an ONNX graph of a few nodes, in the form that one has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from segloom.runtime import Description
from segloom.types import LabelSet

LABELS = LabelSet(("dark", "bright", "red"), ((0, 0, 90), (250, 250, 160), (220, 20, 60)))
WEIGHTS = np.array([[-1, -1, -1], [1, 1, 1], [3, -2, -2]], np.float32) / 100
SHIFT = np.array([4.0033, -4.0071, -3.0057], np.float32)
"""No multiples of the weights: no two classes are equal, so that no order of sums decides."""


def colour_logits(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute what the graph does: ``(H, W, 3)`` to ``(3, H, W)``."""
    logits: NDArray[np.float32] = image.astype(np.float32) @ WEIGHTS.T + SHIFT
    return logits.transpose(2, 0, 1)


def write_export(folder: Path, labels: LabelSet = LABELS) -> Path:
    """Write a network that scores three classes by the colour of each pixel."""
    sides = ["batch", "height", "width"]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["floats", "weights"], ["weighted"]),
            helper.make_node("Add", ["weighted", "shift"], ["shifted"]),
            helper.make_node("Transpose", ["shifted"], ["logits"], perm=[0, 3, 1, 2]),
            helper.make_node("ArgMax", ["logits"], ["ids"], axis=1, keepdims=0),
            helper.make_node("Cast", ["ids"], ["labels"], to=TensorProto.UINT8),
        ],
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*sides, 3])],
        [
            helper.make_tensor_value_info("labels", TensorProto.UINT8, sides),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, *sides[1:]]),
        ],
        [
            numpy_helper.from_array(np.ascontiguousarray(WEIGHTS.T), "weights"),
            numpy_helper.from_array(SHIFT, "shift"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    description = Description(
        format="onnx",
        precision="fp32",
        file="model.onnx",
        network="colours",
        mode="multiclass",
        labels=labels,
        image_channels=3,
        edge_channels=0,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        hu_window=(-250.0, 250.0),
        has_probabilities=False,
        weights_sha256="0" * 64,
        segloom_version="0.1.0",
    )
    (folder / "model.json").write_text(json.dumps(description.to_json()))
    return folder
