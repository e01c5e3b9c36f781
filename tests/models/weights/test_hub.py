"""Names of weights on a hub, and one sentence for whatever its clients raise."""

from __future__ import annotations

import pytest

from segloom.errors import CheckpointError, DataError
from segloom.models.weights import hub
from segloom.models.weights.hub import (
    encoder_weight_names,
    fetch_model,
    hub_errors,
    timm_weights_name,
)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("no route"), "no route"),
        (OSError("first. \nsecond line"), "first"),
        (OSError("\n\n  late "), "late"),
        (RuntimeError(), "RuntimeError"),
        (ValueError("x" * 161), "x" * 160),
        (ValueError("x" * 160), "x" * 160),
    ],
)
def test_the_first_line_of_an_error_is_told_with_what_to_do(error, told):
    with pytest.raises(CheckpointError) as caught, hub_errors("it failed", "try again"):
        raise error
    assert str(caught.value) == f"it failed ({told}); try again."
    assert caught.value.__cause__ is error


def test_our_own_errors_and_a_stop_by_the_user_pass_as_they_are():
    own = DataError("no such file.")
    with pytest.raises(DataError) as caught, hub_errors("it failed", "try again"):
        raise own
    assert caught.value is own
    with pytest.raises(KeyboardInterrupt), hub_errors("it failed", "try again"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("encoder_name", "weights", "expected"),
    [
        ("tu-resnet18", "imagenet", "resnet18"),
        ("tu-resnet18", "a1_in1k", "resnet18.a1_in1k"),
        ("resnet18.tv_in1k", "imagenet", "resnet18.tv_in1k"),
        ("tu-resnet18.tv_in1k", "a1_in1k", "resnet18.a1_in1k"),
    ],
)
def test_the_tag_of_a_name_stands_for_imagenet_and_other_weights_replace_it(
    encoder_name, weights, expected
):
    assert timm_weights_name(encoder_name, weights) == expected


def test_weights_are_named_by_smp_or_by_timm():
    assert {"imagenet", "ssl", "swsl"} <= encoder_weight_names("resnet18")
    assert {"imagenet", "a1_in1k"} <= encoder_weight_names("tu-resnet18")
    assert not any(name.startswith("resnet") for name in encoder_weight_names("tu-resnet18"))
    assert encoder_weight_names("tu-resnet18s") == set()


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Note the addresses that are asked for; none answers."""
    addresses = []

    def refuse(address, timeout):
        addresses.append((*address, timeout))
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(hub.socket, "create_connection", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    return addresses


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("https://hub.example", "hub.example", 443),
        ("http://hub.example", "hub.example", 80),
        ("http://127.0.0.1:8123", "127.0.0.1", 8123),
    ],
)
def test_a_hub_that_does_not_answer_is_found_out_at_once(monkeypatch, asked, endpoint, host, port):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    with pytest.raises(CheckpointError) as caught:
        fetch_model("someone/street")
    assert str(caught.value) == (
        "someone/street is no folder here and could not be fetched from the hub (nobody listens); "
        "give a folder that exists, or check the name and the connection."
    )
    assert asked == [(host, port, 5.0)]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_behind_a_proxy_the_client_is_asked(monkeypatch, asked, tmp_path, variable):
    monkeypatch.setenv(variable, "http://proxy.example")
    wanted = []

    def download(repo_id, *, revision, allow_patterns):
        wanted.append((repo_id, revision, sorted(allow_patterns)))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert fetch_model("someone/street", "v2") == tmp_path
    files = ["config.json", "model.safetensors", "pytorch_model.bin"]
    assert wanted == [("someone/street", "v2", files)]
    assert asked == []


def test_a_model_that_was_fetched_before_needs_no_network(monkeypatch, asked, tmp_path):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repo, file, revision: str(tmp_path / file) if file == "config.json" else None,
    )
    assert fetch_model("someone/street") == tmp_path
    assert asked == []
