"""An exported network as a model repository that Triton Inference Server takes as it is.

triton/NAME/config.pbtxt     what goes in and out, and how requests are batched
triton/NAME/labels.txt       the classes, one a line
triton/NAME/1/model.onnx     the network

Start it with ``tritonserver --model-repository DIR/triton``. The format is described at
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from segloom.files import write_text
from segloom.runtime.description import Description

__all__ = ["MAX_BATCH", "REPOSITORY", "write_repository"]

REPOSITORY = "triton"
MAX_BATCH = 8
"""Images of one size that Triton runs together; it waits for none (`dynamic_batching`)."""
TYPES = {"uint8": "TYPE_UINT8", "int32": "TYPE_INT32", "int64": "TYPE_INT64"}


def write_repository(folder: Path, description: Description, name: str) -> Path:
    """Write the repository beside an exported network.

    Args:
        folder: With the file of the network.
        description: What it is.
        name: Of the model; other signs than letters, digits, ``.``, ``_`` and ``-`` become ``-``.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
    place = folder / REPOSITORY / name
    (place / "1").mkdir(parents=True)
    shutil.copyfile(folder / description.file, place / "1" / "model.onnx")
    write_text(place / "labels.txt", "".join(f"{c}\n" for c in description.labels.classes))
    write_text(place / "config.pbtxt", _configuration(description, name))
    return folder / REPOSITORY


def _configuration(description: Description, name: str) -> str:
    """Write the configuration; the first axis, the batch, is not named in it."""
    count = len(description.labels.classes)
    scores = ["logits", *["probabilities"] * description.has_probabilities]
    tensors = [
        ("input", "image", "TYPE_UINT8", (-1, -1, description.num_channels)),
        ("output", "labels", TYPES[description.space.label_type], (-1, -1)),
        *(("output", score, "TYPE_FP32", (count, -1, -1)) for score in scores),
    ]
    lines = [f"name: {json.dumps(name)}", 'backend: "onnxruntime"', f"max_batch_size: {MAX_BATCH}"]
    for kind, tensor, datatype, sides in tensors:
        dims = ", ".join(map(str, sides))
        lines.append(f'{kind} {{ name: "{tensor}" data_type: {datatype} dims: [ {dims} ] }}')
    lines += [
        "dynamic_batching { }",
        # Otherwise ONNX Runtime keeps the memory of the largest image for good.
        'parameters { key: "memory.enable_memory_arena_shrinkage" '
        'value: { string_value: "cpu:0" } }',
    ]
    return "\n".join(lines) + "\n"
