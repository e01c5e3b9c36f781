"""``segloom serve`` says what it serves and where, and refuses before it loads."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest
from support.networks import build
from support.servers import free_port, picture, png, when_ready

from segloom.cli.main import main
from segloom.models.weights.checkpoint import save_pretrained
from segloom.types import LabelSet


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "mine"
    labels = LabelSet(("road", "car"), ((128, 64, 128), (0, 0, 142)))
    model = build("unet", "tu-test_resnet", classes=2)
    save_pretrained(model, path / "checkpoints" / "best", labels)
    return path


def test_serves_until_sigterm(run: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SEGLOOM_TOKEN", "sesame")
    port, image, seen = free_port(), png(picture()), []

    def ask(client: httpx.Client) -> None:
        seen.append(client.post("/v1/segment", content=image))
        headers = {"Authorization": "Bearer sesame"}
        seen.append(client.post("/v1/segment", content=image, headers=headers))

    thread = when_ready(port, ask)
    assert main(["serve", str(run), "--port", str(port), "--limits.queue", "3"]) == 0
    thread.join(10)
    assert [answer.status_code for answer in seen] == [401, 200]
    assert [entry["name"] for entry in seen[1].json()["classes"]] == ["road", "car"]
    assert capsys.readouterr().out == f"serving mine at http://127.0.0.1:{port}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name at least one model to serve"),
        (["missing"], "missing"),
        (["missing", "--port", "99999"], "choose another --port or --host"),
        (["missing", "--limits.queue", "0"], "--limits.queue is 0; give a number above 0"),
        (["missing", "--prot", "1"], "did you mean '--port'"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], message: str, tmp_path, capsys) -> None:
    port = [] if "--port" in words else ["--port", "0"]
    assert main(["serve", *words, *port]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_without_the_extra_the_command_is_named(run: Path, monkeypatch, capsys) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("segloom.serve", "segloom.cli.serve"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("starlette", "uvicorn", "prometheus_client"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["serve", str(run)]) == 2
    assert "pip install 'segloom[serve]'" in capsys.readouterr().err
