"""A network as one ONNX file of any batch, height and width."""

from __future__ import annotations

import ast
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from segloom.errors import ConfigError
from segloom.exports.form import ExportForm
from segloom.runtime.description import METADATA_KEY, Description

if TYPE_CHECKING:
    import onnx

__all__ = ["OPSET", "TRACED_SIZE", "require_onnx", "write_onnx"]

OPSET = 20
"""The oldest with all that is needed: GridSample of it is what SFNet's flows need."""
TRACED_SIZE = (2, 170, 201)
"""Batch, height and width of the example; odd, so that nothing can depend on it unseen."""
AXES = {"image": ("batch", "height", "width", ""), "labels": ("batch", "height", "width")}
SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter notes the modules that a node comes from, the outermost first."""
NETWORK = "inference.model."
"""What their names begin with in `ExportForm`."""
SCORE_AXES = ("batch", "", "height", "width")
"""Names of the open axes of inputs and outputs; a fixed axis has none."""


def require_onnx() -> None:
    """Refuse to go on where a package is missing.

    Raises:
        ConfigError: It is.
    """
    try:
        import onnx  # noqa: F401 - is it there?
        import onnxruntime  # noqa: F401 - is it there?
        import onnxscript  # noqa: F401 - is it there?
    except ImportError as error:
        raise ConfigError(
            f"--format onnx needs {error.name}, which is not installed; install `segloom[onnx]`."
        ) from error


def write_onnx(form: ExportForm, path: Path, description: Description) -> None:
    """Write the file, with the description in its metadata.

    Args:
        form: The network.
        path: The file.
        description: What the metadata say.
    """
    channels = form.inference.model.input_channels
    batch, height, width = TRACED_SIZE
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(
        0, 256, (batch, height, width, channels), dtype=torch.uint8, generator=generator
    )
    free, fixed = torch.export.Dim.DYNAMIC, torch.export.Dim.STATIC
    sizes = {"image": {0: free, 1: free, 2: free, 3: fixed}}
    with _quiet(), torch.no_grad():
        program = torch.export.export(form, (image,), dynamic_shapes=sizes, strict=False)
        onnx_program = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=form.outputs,
            verbose=False,
        )
    if onnx_program is None:
        raise AssertionError("torch.onnx.export gives a program with dynamo=True")
    _finish(onnx_program.model_proto, path, description)


def _finish(model: onnx.ModelProto, path: Path, description: Description) -> None:
    """Name the open axes, remove what tells of this machine, add the metadata, check and write."""
    import onnx

    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims, AXES.get(value.name, SCORE_AXES), strict=True):
            if name:
                dim.dim_param = name
    del model.graph.value_info[:]  # sizes under the tracer's own names
    for node in model.graph.node:
        node.name = _readable_name(node)
    for node in (*model.graph.node, *(node for f in model.functions for node in f.node)):
        node.doc_string = ""  # stack traces, with paths of this machine
        del node.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(description.to_json())})
    model.producer_name, model.producer_version = "segloom", description.segloom_version
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=True)


def _readable_name(node: onnx.NodeProto) -> str:
    """Put the module that a node comes from before its name: ``encoder.layer1.0.conv1/conv2d``."""
    name = str(node.name).removeprefix("node_")
    scopes = {entry.key: entry.value for entry in node.metadata_props}.get(SCOPES)
    if scopes is None:
        return name
    modules = [scope for scope in ast.literal_eval(scopes) if scope.startswith(NETWORK)]
    return f"{modules[-1].removeprefix(NETWORK)}/{name}" if modules else name


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's words about its own workings from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
