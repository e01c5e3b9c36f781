"""``/v1``: the bytes of an image in, a picture, polygons or facts out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from segloom.errors import ConfigError, UnknownNameError
from segloom.images.read import decode_image
from segloom.serve.answers import ENCODINGS, INCLUDED, OUTPUTS, Wish, present
from segloom.serve.body import Refusal
from segloom.serve.models import Model
from segloom.serve.service import Service

__all__ = ["ROUTES"]

Number = TypeVar("Number", int, float)

PARAMETERS = (
    *("model", "output", "include", "encoding"),
    *("class", "opacity", "min_area", "simplify"),
)
ACCEPTED = {"image/png": "label", "application/geo+json": "polygons"}
"""What a header Accept stands for where no output is named."""


async def list_models(request: Request) -> Response:
    """Name the models with their classes and colours."""
    service: Service = request.app.state.service
    models = [
        {
            "name": model.name,
            "channels": model.num_channels,
            "overlaps": model.labels.is_multilabel,
            "classes": [
                {"id": k, "name": name, "color": list(color)}
                for k, (name, color) in enumerate(
                    zip(model.labels.classes, model.labels.palette, strict=True)
                )
            ],
        }
        for model in service.models.values()
    ]
    return JSONResponse({"models": models, "default": service.default.name})


async def segment(request: Request) -> Response:
    """Label one image."""
    service: Service = request.app.state.service
    unknown = next((key for key in request.query_params if key not in PARAMETERS), None)
    if unknown is not None:
        raise Refusal(400, str(UnknownNameError("parameter", unknown, PARAMETERS)))
    model = service.model(request.query_params.get("model"))
    wish = _wish(request)
    if model.num_channels != 3:
        raise Refusal(
            422,
            f"{model.name} takes {model.num_channels} channels, not an RGB image; send a tensor "
            f"to /v2/models/{model.name}/infer.",
        )
    if request.headers.get("content-type", "").startswith(("multipart/", "application/x-www")):
        raise Refusal(
            415,
            "send the bytes of the image as the body, as in "
            "`curl --data-binary @street.jpg -H 'Content-Type: image/jpeg' URL`.",
        )
    service.check_room()
    async with service.reader.read(request) as body:
        content, kind = await service.run(request, lambda: _work(service, model, body, wish))
    return Response(content, media_type=kind)


def _work(service: Service, model: Model, body: bytes, wish: Wish) -> tuple[bytes, str]:
    image = decode_image(body, max_pixels=service.limits.max_pixels)
    wants = "confidence" in (wish.output, *wish.include)
    answer = service.answer(model, image, with_probabilities=wants)
    return present(model, image, answer, wish)


def _wish(request: Request) -> Wish:
    query = request.query_params
    accept = request.headers.get("accept", "").partition(",")[0].partition(";")[0].strip()
    output = query.get("output", ACCEPTED.get(accept, "json"))
    include = tuple(part for part in query.get("include", "").split(",") if part)
    try:
        if output not in OUTPUTS:
            raise UnknownNameError("output", output, OUTPUTS)
        for part in include:
            if part not in INCLUDED:
                raise UnknownNameError("include", part, INCLUDED)
        encoding = query.get("encoding", "png")
        if encoding not in ENCODINGS:
            raise UnknownNameError("encoding", encoding, ENCODINGS)
        return Wish(
            output,
            include,
            encoding,
            class_name=query.get("class"),
            opacity=_number(request, "opacity", 0.5, float, most=1),
            min_area=_number(request, "min_area", 1, int),
            simplify=_number(request, "simplify", 0.0, float),
        )
    except ConfigError as error:
        raise Refusal(400, str(error)) from None


def _number(
    request: Request,
    name: str,
    default: Number,
    read: Callable[[str], Number],
    *,
    most: float = 1e9,
) -> Number:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = read(text)
    except ValueError:
        value = None
    if value is None or not 0 <= value <= most:
        limit = f" from 0 to {most:g}" if most < 1e9 else " of 0 or more"
        kind = "whole number" if read is int else "number"
        raise ConfigError(f"{name} is '{text}'; give a {kind}{limit}.")
    return value


ROUTES = (
    Route("/v1/models", list_models),
    Route("/v1/segment", segment, methods=["POST"]),
)
