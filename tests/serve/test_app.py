"""Health, the token, names of the host, counters and the description of the API."""

from __future__ import annotations

import re

import httpx
import pytest
from support.servers import a_model, picture, png, running

IMAGE = png(picture())


def test_health_follows_the_end_of_the_server() -> None:
    with running([a_model()]) as client:
        for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        client.server.service.is_draining = True
        assert client.get("/health/live").status_code == 200
        for path in ("/health/ready", "/v2/health/ready"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()) == (503, {"ready": False})


def test_a_token_is_asked_of_all_but_health_and_the_description() -> None:
    with running([a_model()], token="sésame") as client:
        for path in ("/health/live", "/health/ready", "/v2/health/ready", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        assert all(client.get(path).status_code == 200 for path in ("/", "/page.js", "/page.css"))
        for header in (None, "Bearer wrong", "Bearer", "Basic sésame", "sésame", "Bearer sésame2"):
            headers = {} if header is None else {"Authorization": header.encode()}
            for path in ("/v1/models", "/metrics", "/v2/models/brightness", "/nothing"):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "Authorization: Bearer TOKEN" in answer.json()["error"]
            assert client.post("/v1/segment", content=IMAGE, headers=headers).status_code == 401
        headers = {"Authorization": "bearer sésame".encode()}
        assert client.post("/v1/segment", content=IMAGE, headers=headers).status_code == 200


def test_pages_of_other_names_cannot_reach_a_local_server() -> None:
    with running([a_model()], hosts=["127.0.0.1", "localhost"]) as client:
        assert client.get("/v1/models").status_code == 200
        port = client.base_url.port
        assert client.get("/v1/models", headers={"Host": f"localhost:{port}"}).status_code == 200
        evil = client.get("/v1/models", headers={"Host": f"evil.example:{port}"})
        assert evil.status_code == 400


def test_metrics_count_requests_pixels_and_time() -> None:
    with running([a_model()]) as client:
        for content in (IMAGE, IMAGE, b"no image"):
            client.post("/v1/segment", content=content)
        client.get("/nothing")
        text = client.get("/metrics").text
    for line in (
        'segloom_requests_total{route="segment",status="200"} 2.0',
        'segloom_requests_total{route="segment",status="422"} 1.0',
        'segloom_requests_total{route="none",status="404"} 1.0',
        'segloom_pixels_total{model="brightness"} 4800.0',
        'segloom_inference_seconds_count{model="brightness"} 2.0',
        'segloom_request_seconds_count{route="segment"} 3.0',
        "segloom_queue_length 0.0",
        "segloom_queue_size 16.0",
        "segloom_held_bytes 0.0",
    ):
        assert line in text.splitlines()
    memory = re.search(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)
    assert memory is not None
    assert float(memory[1]) > 1e7


@pytest.mark.parametrize("token", [None, "sesame"])
def test_every_described_path_is_there(token: str | None) -> None:
    with running([a_model()], token=token) as client:
        document = client.get("/openapi.json").json()
        assert document["openapi"] == "3.1.0"
        assert ("security" in document) == (token is not None)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        for path, methods in document["paths"].items():
            for method in methods:
                answer = client.request(
                    method, path.replace("{name}", "brightness"), content=b"", headers=headers
                )
                assert answer.status_code not in (401, 404, 405), path
        page = client.get("/docs").text
        for parameter in document["paths"]["/v1/segment"]["post"]["parameters"]:
            assert f"<code>{parameter['name']}</code>" in page
        assert ("Authorization: Bearer" in page) == (token is not None)


def test_every_parameter_that_is_described_is_taken() -> None:
    values = {"model": "brightness", "output": "polygons", "include": "label", "class": "red"}
    values |= {"encoding": "zlib"}
    with running([a_model()]) as client:
        entry = client.get("/openapi.json").json()["paths"]["/v1/segment"]["post"]
        for parameter in entry["parameters"]:
            name = parameter["name"]
            value = values.get(name, "1")
            answer = client.post("/v1/segment", params={name: value}, content=IMAGE)
            assert answer.status_code == 200, name
        outputs = next(p for p in entry["parameters"] if p["name"] == "output")["schema"]["enum"]
        for output in outputs:
            params = {"output": output, "class": "red"}
            assert client.post("/v1/segment", params=params, content=IMAGE).status_code == 200


def test_answers_tell_browsers_to_guess_and_keep_nothing() -> None:
    with running([a_model()]) as client:
        answer: httpx.Response = client.get("/v1/models")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
