"""What the server says about itself to programs and to people."""

from __future__ import annotations

import asyncio
import json
import re
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from segloom.serve.openapi import ROUTES, description

SEGMENT = "/v1/segment"


def page(path: str, *, models=("road",), has_token=False):
    """Ask a route without a server."""
    service = SimpleNamespace(models=dict.fromkeys(models), has_token=has_token)
    scope = {
        "type": "http",
        "path": path,
        "scheme": "http",
        "server": ("host", 8080),
        "headers": [],
        "query_string": b"",
        "app": SimpleNamespace(state=SimpleNamespace(service=service)),
    }
    (route,) = [route for route in ROUTES if route.path == path]
    return asyncio.run(route.endpoint(Request(scope)))


@pytest.fixture
def segment():
    return description(["first", "second"], has_token=False)["paths"][SEGMENT]["post"]


def test_every_parameter_has_its_range_and_its_default(segment) -> None:
    schemas = {entry["name"]: entry["schema"] for entry in segment["parameters"]}
    outputs = ["json", "label", "mask", "palette", "overlay", "confidence", "polygons"]
    assert schemas == {
        "model": {"type": "string", "enum": ["first", "second"], "default": "first"},
        "output": {"type": "string", "enum": outputs, "default": "json"},
        "include": {"type": "string"},
        "encoding": {"type": "string", "enum": ["png", "zlib"], "default": "png"},
        "class": {"type": "string"},
        "opacity": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5},
        "min_area": {"type": "integer", "minimum": 0, "default": 1},
        "simplify": {"type": "number", "minimum": 0, "default": 0},
    }
    assert {entry["in"] for entry in segment["parameters"]} == {"query"}


def test_every_answer_has_a_body_that_is_described(segment) -> None:
    codes = ["200", "400", "401", "404", "408", "413", "415", "422", "429", "503", "504"]
    assert list(segment["responses"]) == codes
    assert list(segment["responses"]["200"]["content"]) == [
        "application/json",
        "image/png",
        "application/geo+json",
    ]
    for code in codes[1:]:
        schema = segment["responses"][code]["content"]["application/json"]["schema"]
        assert list(schema["properties"]) == ["error"]


def test_every_name_in_a_path_is_a_parameter_that_must_be_there() -> None:
    for path, methods in description(["road"], has_token=False)["paths"].items():
        for entry in methods.values():
            given = [p["name"] for p in entry.get("parameters", ()) if p["in"] == "path"]
            assert given == re.findall(r"{(\w+)}", path)
            assert all(p["required"] for p in entry.get("parameters", ()) if p["in"] == "path")


@pytest.mark.parametrize("has_token", [True, False])
def test_a_token_is_described_only_where_one_is_needed(has_token: bool) -> None:
    found = description(["road"], has_token=has_token)
    schemes = found.get("components", {}).get("securitySchemes")
    assert schemes == ({"token": {"type": "http", "scheme": "bearer"}} if has_token else None)
    assert found.get("security") == ([{"token": []}] if has_token else None)


@pytest.mark.parametrize(("has_token", "words"), [(True, " -H &#x27;Authorization: "), (False, "")])
def test_the_example_on_the_page_can_be_pasted(has_token: bool, words: str) -> None:
    text = page("/docs", has_token=has_token).body.decode()
    words += "Bearer TOKEN&#x27;" if has_token else ""
    assert f"curl --data-binary @street.jpg{words} \\\n" in text
    assert "&#x27;http://host:8080/v1/segment?output=overlay&#x27; -o overlay.png" in text


def test_the_page_shows_ranges_in_words_and_runs_nothing() -> None:
    answer = page("/docs", models=("<b>", "road"))
    text = answer.body.decode()
    assert "<td><code>opacity</code><td>number 0 to 1<td>With overlay" in text
    assert "<td><code>min_area</code><td>integer 0<td>" in text
    assert "<td><code>class</code><td>string<td>With mask, the class" in text
    assert "<td><code>encoding</code><td>png, zlib<td>" in text
    assert "<td>&lt;b&gt;, road<td>" in text
    assert "<b>" not in text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert text.count("<table>") == 2  # of /v1/segment alone


def test_programs_get_the_same_as_json() -> None:
    answer = page("/openapi.json", models=("road", "tree"), has_token=True)
    assert json.loads(answer.body) == description(["road", "tree"], has_token=True)
