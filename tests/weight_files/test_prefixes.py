"""Prefixes of wrappers are taken off where one reading fits, and the advice of a refusal works."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import segloom
from segloom.errors import CheckpointError
from segloom.models.weights.convert import convert
from segloom.weight_files import strip_prefix

PREFIXES = [
    *("model.", "_orig_mod.", "module.", "net.", "module._orig_mod.", "_orig_mod.module."),
    *("module.module.", "model._orig_mod.module.", "model.model.", "student.net.0.", "a.b-c.d_1."),
]


@pytest.fixture(scope="module")
def network() -> segloom.SegmentationModel:
    torch.manual_seed(0)
    return segloom.create_model("unet", encoder_name="resnet18", encoder_weights=None, classes=3)


def other() -> segloom.SegmentationModel:
    return segloom.create_model("unet", encoder_name="resnet18", encoder_weights=None, classes=3)


def assert_equal(model: nn.Module, expected: nn.Module) -> None:
    for (name, value), wanted in zip(
        model.state_dict().items(), expected.state_dict().values(), strict=True
    ):
        assert torch.equal(value, wanted), name


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_network_is_found_under_any_prefix(
    prefix: str, network: nn.Module, tmp_path: Path
) -> None:
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    state["criterion.weight"] = torch.ones(3)  # of a whole training module
    state["n_averaged"] = torch.tensor(7)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    segloom.load_weights(model := other(), tmp_path / "last.ckpt")
    assert_equal(model, network)


def test_names_of_modules_that_were_compiled_alone_are_found(
    network: nn.Module, tmp_path: Path
) -> None:
    state = {name.replace("encoder.", "encoder._orig_mod."): v
             for name, v in network.state_dict().items()}  # fmt: skip
    torch.save(state, tmp_path / "a.pth")
    segloom.load_weights(model := other(), tmp_path / "a.pth")
    assert_equal(model, network)


def test_two_networks_in_one_file_are_refused(network: nn.Module, tmp_path: Path) -> None:
    state = {f"{prefix}{name}": value for prefix in ("student.", "teacher.")
             for name, value in network.state_dict().items()}  # fmt: skip
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"several networks that fit, under .*student\."):
        segloom.load_weights(other(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"holds several networks, under student\. and"):
        convert(tmp_path / "a.pth", tmp_path / "out")


def test_a_network_that_lacks_a_tensor_is_refused_as_it_stands(
    network: nn.Module, tmp_path: Path
) -> None:
    state = {f"model.{name}": value for name, value in network.state_dict().items()}
    del state["model.segmentation_head.0.bias"]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="does not fit the network: missing"):
        segloom.load_weights(other(), tmp_path / "a.pth")


@pytest.mark.parametrize("prefix", ["", "model.", "module._orig_mod.", "net.model."])
@pytest.mark.parametrize("part", ["encoder.", "backbone."])
def test_an_encoder_is_found_inside_a_network(
    prefix: str, part: str, network: segloom.SegmentationModel, tmp_path: Path
) -> None:
    state = {f"{prefix}{part}{name}": value for name, value in network.encoder.state_dict().items()}
    state[f"{prefix}head.weight"] = torch.ones(2)
    torch.save(state, tmp_path / "a.pth")
    model = segloom.create_model(
        "fpn", encoder_name="resnet18", encoder_weights=str(tmp_path / "a.pth"), classes=2
    )
    assert_equal(model.encoder, network.encoder)


def test_convert_takes_a_checkpoint_of_a_training_module(
    network: segloom.SegmentationModel, tmp_path: Path
) -> None:
    state = {f"model._orig_mod.{name}": value for name, value in network.state_dict().items()}
    state["loss.weight"] = torch.ones(3)
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    convert(tmp_path / "a.ckpt", tmp_path / "out")
    assert_equal(segloom.from_pretrained(tmp_path / "out"), network)


def test_what_several_names_need_is_found_once() -> None:
    value = torch.ones(1)
    tensors = {"a.model.x": value, "b.y": value}
    found = strip_prefix(tensors, ["x"], "f", rename=lambda name: name.removeprefix("model."))
    assert set(found) == {"x"}  # the longest prefix of one and the same reading


def test_options_of_a_program_beside_the_weights_are_passed_over(
    network: nn.Module, tmp_path: Path
) -> None:
    content = {"model": {"state_dict": network.state_dict()}, "args": argparse.Namespace(lr=1)}
    content["args"].out = tmp_path
    torch.save(content, tmp_path / "a.pth")
    segloom.load_weights(model := other(), tmp_path / "a.pth")
    assert_equal(model, network)


@pytest.mark.parametrize("form", ["model", "dictionary", "state"])
def test_the_advice_of_a_refusal_works_when_typed(form: str, tmp_path: Path) -> None:
    module = nn.Linear(2, 3)
    content: Any = {
        "model": module,
        "dictionary": {"model": module, "epoch": 1},
        "state": {"state_dict": module.state_dict(), "now": datetime.now().astimezone()},
    }[form]
    torch.save(content, path := tmp_path / "it's a.pth")
    with pytest.raises(CheckpointError, match="pickled objects") as caught:
        segloom.load_weights(other(), path)
    _, *words = shlex.split(str(caught.value).partition("weights.pth: ")[2])
    subprocess.run([sys.executable, *words], check=True, cwd=tmp_path)
    state = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert torch.equal(state["weight"], module.weight)
