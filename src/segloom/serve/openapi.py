"""What the server can do, as OpenAPI for programs and as a page for people."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from segloom.serve.answers import ENCODINGS, INCLUDED, OUTPUTS
from segloom.serve.service import Service

__all__ = ["ROUTES", "description"]

ERRORS = {
    "400": "A parameter is unknown or out of its range",
    "401": "The token is missing or wrong",
    "404": "There is no such model",
    "408": "The body came too slowly",
    "413": "The body or the image is too large",
    "415": "The image is in a form; send its bytes as the body",
    "422": "The body is no image, or a damaged one",
    "429": "The queue is full; Retry-After says when to come back",
    "503": "The request waited too long; Retry-After says when to come back",
    "504": "The image took too long",
}
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;
color:#20242a;background:#fff}code,pre{background:#f1f3f5;border-radius:4px}code{padding:.1em .3em}
pre{padding:.8em;overflow:auto}table{border-collapse:collapse;width:100%}td,th{border-bottom:1px
solid #ddd;padding:.35em .6em .35em 0;text-align:left;vertical-align:top}h2{margin-top:2em;
font-size:1.1rem}@media(prefers-color-scheme:dark){body{background:#15181c;color:#e4e7eb}
code,pre{background:#23282e}td,th{border-color:#3a4048}a{color:#8ab8ff}}"""


def description(models: list[str], has_token: bool) -> dict[str, Any]:
    """Describe the server in OpenAPI 3.1.

    Args:
        models: Names; the first is the default.
        has_token: Requests need a token.
    """
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "segloom",
            "version": version("segloom"),
            "summary": "Semantic segmentation of images",
        },
        "paths": {
            "/v1/segment": {"post": _segment(models)},
            "/v1/models": {"get": _plain("Models with their classes and colours")},
            "/v2/models/{name}": {"get": _plain("Tensors of a model (KServe)", "name")},
            "/v2/models/{name}/ready": {"get": _plain("Whether a model answers", "name")},
            "/v2/models/{name}/infer": {
                "post": _plain("Tensors in, tensors out (KServe, with binary data)", "name")
            },
            "/health/live": {"get": _plain("Whether the process runs")},
            "/health/ready": {"get": _plain("Whether requests should come here")},
            "/metrics": {"get": _plain("Counters for Prometheus")},
        },
    }
    if has_token:
        scheme = {"token": {"type": "http", "scheme": "bearer"}}
        document |= {"components": {"securitySchemes": scheme}, "security": [{"token": []}]}
    return document


def _segment(models: list[str]) -> dict[str, object]:
    number = {"type": "number", "minimum": 0}
    binary = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    parameters = [
        _parameter("model", {"type": "string", "enum": models, "default": models[0]}, "Which"),
        _parameter(
            "output",
            {"type": "string", "enum": list(OUTPUTS), "default": "json"},
            "json: shares of the classes; label: class ids as a grey PNG; mask: one class, 0 and "
            "255; palette: class ids that show as colours; overlay: the image in the colours of "
            "its classes; confidence: probability of the answer, 0 to 255; polygons: GeoJSON in "
            "pixels",
        ),
        _parameter(
            "include",
            {"type": "string"},
            f"With json, more of {', '.join(INCLUDED)}, divided by commas; maps in base64",
        ),
        _parameter(
            "encoding",
            {"type": "string", "enum": list(ENCODINGS), "default": "png"},
            "Of included maps: PNG, or bytes row by row, compressed by zlib",
        ),
        _parameter("class", {"type": "string"}, "With mask, the class"),
        _parameter("opacity", {**number, "maximum": 1, "default": 0.5}, "With overlay"),
        _parameter(
            "min_area",
            {"type": "integer", "minimum": 0, "default": 1},
            "Of polygons, the smallest object and hole, in pixels",
        ),
        _parameter(
            "simplify",
            {**number, "default": 0},
            "Of polygons, the largest distance by which an outline is simplified, in pixels",
        ),
    ]
    return {
        "summary": "Label one image",
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"image/*": binary}},
        "responses": {
            "200": {
                "description": "What was asked for",
                "content": {
                    "application/json": {"schema": {"type": "object"}},
                    "image/png": binary,
                    "application/geo+json": {"schema": {"type": "object"}},
                },
            },
            **{status: _error(text) for status, text in ERRORS.items()},
        },
    }


def _parameter(name: str, schema: dict[str, object], text: str) -> dict[str, object]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _error(text: str) -> dict[str, object]:
    schema = {"type": "object", "properties": {"error": {"type": "string"}}}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _plain(summary: str, *names: str) -> dict[str, object]:
    return {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ],
        "responses": {"200": {"description": "As said"}},
    }


async def describe_api(request: Request) -> Response:
    """Return the description for programs."""
    return JSONResponse(_of(request))


async def document(request: Request) -> Response:
    """Return the description for people."""
    content = _of(request)
    url = str(request.base_url).rstrip("/")
    token = " -H 'Authorization: Bearer TOKEN'" if "security" in content else ""
    example = (
        f"curl --data-binary @street.jpg{token} \\\n"
        f"  '{url}/v1/segment?output=overlay' -o overlay.png"
    )
    parts = [f"<pre>{escape(example)}</pre>"]
    for path, methods in content["paths"].items():
        for method, entry in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(entry['summary'])}.</p>")
            parts += [_rows(entry)] if "requestBody" in entry else []
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>segloom: API</title>"
        f"<style>{STYLE}</style><h1>segloom {escape(content['info']['version'])}: API</h1>"
        f"<p>For programs: <a href=openapi.json>openapi.json</a>. An error is JSON with one "
        f"sentence, <code>error</code>.</p>{''.join(parts)}</html>"
    )
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(page, headers=policy)


def _rows(entry: dict[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(p['name'])}</code><td>{escape(_range(p['schema']))}"
        f"<td>{escape(p['description'])}"
        for p in entry["parameters"]
    )
    answers = "".join(
        f"<tr><td><code>{status}</code><td colspan=2>{escape(answer['description'])}"
        for status, answer in entry["responses"].items()
    )
    return f"<table>{parameters}</table><table>{answers}</table>"


def _range(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    limits = [f"{schema[key]:g}" for key in ("minimum", "maximum") if key in schema]
    return f"{schema['type']} {' to '.join(limits)}".strip()


def _of(request: Request) -> dict[str, Any]:
    service: Service = request.app.state.service
    return description([*service.models], service.has_token)


ROUTES = (Route("/openapi.json", describe_api), Route("/docs", document))
