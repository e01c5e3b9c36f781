"""``/v2``: the Open Inference Protocol of KServe, with Triton's binary tensors.

Servers of this protocol (KServe, Triton, OpenVINO Model Server, Seldon) and their clients exchange
tensors as JSON, or as raw bytes behind a JSON head whose length a header states. Specification:
https://github.com/kserve/open-inference-protocol and, for the binary form, Triton's extension
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

    image          UINT8 (B, H, W, C)   in
    labels         UINT8 (B, H, W)      out; INT32 or INT64 for many overlapping classes
    probabilities  FP32  (B, K, H, W)   out, if asked for
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from segloom.files import parse_json
from segloom.serve.body import Refusal
from segloom.serve.models import Model
from segloom.serve.service import Service

__all__ = ["ROUTES"]

HEAD_LENGTH = "Inference-Header-Content-Length"
MAX_JSON = 8 * 2**20
"""Largest tensor in JSON, in bytes: parsing it holds up all other requests."""
OUTPUTS = ("labels", "probabilities")
DATATYPES = {"uint8": "UINT8", "int32": "INT32", "int64": "INT64", "float32": "FP32"}
VERSION = "1"


async def server(request: Request) -> Response:
    """Describe the server."""
    facts = {"name": "segloom", "version": version("segloom")}
    return JSONResponse({**facts, "extensions": ["binary_tensor_data", "model_repository(index)"]})


async def index(request: Request) -> Response:
    """List the models, as Triton does."""
    service: Service = request.app.state.service
    return JSONResponse(
        [{"name": name, "version": VERSION, "state": "READY"} for name in service.models]
    )


async def describe(request: Request) -> Response:
    """Describe the tensors of a model."""
    model = _model(request)
    label_type = DATATYPES[model.space.label_type]
    classes = len(model.labels.classes)
    return JSONResponse(
        {
            "name": model.name,
            "versions": [VERSION],
            "platform": model.platform,
            "inputs": [_tensor("image", "UINT8", [-1, -1, -1, model.num_channels])],
            "outputs": [
                _tensor("labels", label_type, [-1, -1, -1]),
                _tensor("probabilities", "FP32", [-1, classes, -1, -1]),
            ],
            "parameters": {"classes": ",".join(model.labels.classes)},
        }
    )


async def is_ready(request: Request) -> Response:
    """Return whether a model answers."""
    model = _model(request)
    return JSONResponse({"name": model.name, "ready": True})


async def infer(request: Request) -> Response:
    """Label a batch of images."""
    service: Service = request.app.state.service
    model = _model(request)
    service.check_room()
    head_length = request.headers.get(HEAD_LENGTH)
    async with service.reader.read(request) as body:
        content, json_length = await service.run(
            request, lambda: _work(service, model, body, head_length)
        )
    if json_length is None:
        return Response(content, media_type="application/json")
    headers = {HEAD_LENGTH: str(json_length)}
    return Response(content, media_type="application/octet-stream", headers=headers)


ROUTES = (
    Route("/v2", server),
    Route("/v2/repository/index", index, methods=["POST"]),
    *(
        Route(f"/v2/models/{{name}}{version}{rest}", endpoint, methods=[method])
        for version in ("", "/versions/{version}")
        for rest, endpoint, method in (
            ("", describe, "GET"),
            ("/ready", is_ready, "GET"),
            ("/infer", infer, "POST"),
        )
    ),
)


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _model(request: Request) -> Model:
    service: Service = request.app.state.service
    version = request.path_params.get("version", VERSION)
    model = service.model(request.path_params["name"])
    if version != VERSION:
        raise Refusal(404, f"{model.name} has no version {version}; its version is {VERSION}.")
    return model


def _work(
    service: Service, model: Model, body: bytes, head_length: str | None
) -> tuple[bytes, int | None]:
    head, rest = _divide(body, head_length)
    images = _images(head, rest, model, service.limits.max_pixels)
    wanted = _wanted(head)
    with_probabilities = any(name == "probabilities" for name, _ in wanted)
    found: dict[str, list[NDArray[np.generic]]] = {name: [] for name in OUTPUTS}
    for image in images:
        answer = service.answer(model, image, with_probabilities=with_probabilities)
        found["labels"].append(answer.label_map)
        if with_probabilities:
            found["probabilities"].append(answer.probabilities)
    tensors = [(name, np.stack(found[name]), as_bytes) for name, as_bytes in wanted]
    return _written(head, model, tensors)


def _divide(body: bytes, head_length: str | None) -> tuple[dict[str, object], bytes]:
    """Split a body into its JSON head and the bytes behind it."""
    if head_length is None:
        text, rest = body, b""
    else:
        if not head_length.isdecimal() or int(head_length) > len(body):
            raise Refusal(
                400, f"{HEAD_LENGTH} is '{head_length}'; give the length of the JSON in bytes."
            )
        text, rest = body[: int(head_length)], body[int(head_length) :]
    if len(text) > MAX_JSON:
        raise Refusal(
            413,
            f"the JSON has more than {MAX_JSON:,} bytes; send the tensor as binary data behind it "
            f"({HEAD_LENGTH}).",
        )
    try:
        head = parse_json(text)
    except ValueError:
        raise Refusal(400, "the body is no JSON of an inference request.") from None
    if not isinstance(head, dict):
        raise Refusal(400, "an inference request is a JSON object with inputs.")
    return head, rest


def _images(
    head: dict[str, object], rest: bytes, model: Model, max_pixels: int
) -> NDArray[np.uint8]:
    """Read the one input: uint8 ``(B, H, W, C)``."""
    match head.get("inputs"):
        case [{"name": "image", "datatype": "UINT8", "shape": [*shape], **tensor}]:
            pass
        case _:
            raise Refusal(
                400, "an inference request has one input: image, UINT8, (batch, height, width, C)."
            )
    is_whole = all(isinstance(side, int) and side > 0 for side in shape)
    if not is_whole or len(shape) != 4 or shape[3] != model.num_channels:
        raise Refusal(
            400,
            f"the shape of image is {shape}; {model.name} takes (batch, height, width, "
            f"{model.num_channels}).",
        )
    if shape[0] * shape[1] * shape[2] > max_pixels:
        raise Refusal(413, f"the batch has more than {max_pixels:,} pixels; send fewer at a time.")
    values = _values(tensor, rest)
    if values.size != np.prod(shape):
        raise Refusal(
            400, f"image holds {values.size} values, but its shape {shape} has {np.prod(shape)}."
        )
    return values.reshape(shape)


def _values(tensor: Mapping[object, object], rest: bytes) -> NDArray[np.uint8]:
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        if size != len(rest):
            raise Refusal(
                400, f"binary_data_size is {size}, but {len(rest)} bytes follow the JSON."
            )
        return np.frombuffer(rest, np.uint8)
    try:
        values = np.asarray(tensor.get("data"))
        if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
            raise ValueError
    except ValueError:
        raise Refusal(400, "the data of image are whole numbers from 0 to 255.") from None
    return values.astype(np.uint8).ravel()


def _wanted(head: Mapping[str, object]) -> list[tuple[str, bool]]:
    """Name the outputs, and whether each is wanted as binary data."""
    outer = head.get("parameters")
    default = bool(isinstance(outer, dict) and outer.get("binary_data_output"))
    outputs = head.get("outputs") or [{"name": "labels"}]
    wanted: list[tuple[str, bool]] = []
    for output in outputs if isinstance(outputs, list) else [outputs]:
        entry = output if isinstance(output, dict) else {}
        name = entry.get("name")
        if name not in OUTPUTS:
            raise Refusal(400, f"there is no output {name}; ask for {' or '.join(OUTPUTS)}.")
        if any(name == earlier for earlier, _ in wanted):  # thousands would fill the memory
            raise Refusal(400, f"the output {name} is asked for twice; name it once.")
        own = entry.get("parameters")
        as_bytes = own.get("binary_data", default) if isinstance(own, dict) else default
        wanted.append((name, bool(as_bytes)))
    return wanted


def _written(
    head: Mapping[str, object],
    model: Model,
    tensors: Sequence[tuple[str, NDArray[np.generic], bool]],
) -> tuple[bytes, int | None]:
    """Write an answer; the length of its JSON, or None if there is nothing behind it."""
    outputs, parts = [], []
    for name, values, as_bytes in tensors:
        output = _tensor(name, DATATYPES[values.dtype.name], list(values.shape))
        if as_bytes:
            parts.append(np.ascontiguousarray(values).tobytes())
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = values.ravel().tolist()
        outputs.append(output)
    facts: dict[str, object] = {
        "model_name": model.name,
        "model_version": VERSION,
        "outputs": outputs,
    }
    if "id" in head:
        facts["id"] = head["id"]
    text = json.dumps(facts).encode()
    return b"".join([text, *parts]), len(text) if parts else None
