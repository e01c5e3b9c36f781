"""Batch normalisation over processes: the numbers, keys and checkpoints of one process."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from segloom.config import RunConfig
from segloom.evaluation import evaluate
from segloom.models import create_model
from segloom.training import train
from segloom.training.distributed.sync_batchnorm import ProcessBatchNorm, synchronize_batchnorm


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    network = create_model("unet", encoder_name="tu-test_efficientnet", classes=2)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return network


@pytest.mark.parametrize("on_gpu", [True, False])
def test_keys_parameters_and_evaluation_stay_and_no_activation_is_lost(
    model: nn.Module, on_gpu: bool
) -> None:
    image = torch.rand(1, 3, 64, 64)
    changed = copy.deepcopy(model)
    before = changed.state_dict(keep_vars=True)
    synchronize_batchnorm(changed, on_gpu=on_gpu)
    after = changed.state_dict(keep_vars=True)
    kinds = {type(layer).__name__ for layer in changed.modules()}
    assert "BatchNorm2d" not in kinds
    assert kinds & ({"SyncBatchNorm", "SyncBatchNormAct"} if on_gpu else {"ProcessBatchNorm"})
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before if "num_batches" not in name)
    with torch.no_grad():
        torch.testing.assert_close(changed.eval()(image), model.eval()(image))


def test_alone_it_is_the_ordinary_batch_norm(model: nn.Module) -> None:
    image = torch.rand(2, 3, 64, 64)
    plain, changed = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    synchronize_batchnorm(changed, on_gpu=False)
    assert torch.equal(plain(image), changed(image))
    expected, actual = plain.state_dict(), changed.state_dict()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_a_frozen_layer_stays_frozen_and_moves_with_its_buffers() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3).eval())
    synchronize_batchnorm(network, on_gpu=False)
    assert isinstance(network[0], ProcessBatchNorm)
    assert not network[0].training
    network.double()
    assert network[0](torch.rand(1, 3, 2, 2, dtype=torch.float64)).dtype == torch.float64


# Each process normalises its own number of images; what it finds goes to a file.
SCRIPT = """
import sys
import torch
from torch import distributed, nn
from segloom.training.distributed.sync_batchnorm import synchronize_batchnorm

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
case = torch.load(f"{folder}/case.pt", weights_only=True)
found = {}
for name, options in case["layers"].items():
    layer = nn.Sequential(nn.BatchNorm2d(3, **options).to(case["x"].dtype))
    if options.get("affine", True):
        layer[0].load_state_dict({**layer[0].state_dict(), **case["weights"]})
    synchronize_batchnorm(layer, on_gpu=False)
    x = case["x"][slice(0, 2) if rank == 0 else slice(2, 5)].clone().requires_grad_()
    for _ in range(2):
        y = layer(x)
    (y * case["pull"][slice(0, 2) if rank == 0 else slice(2, 5)]).sum().backward()
    gradients = {key: value.grad for key, value in layer.named_parameters()}
    for value in gradients.values():
        distributed.all_reduce(value)
    found[name] = {"y": y.detach(), "x": x.grad, **gradients, **layer.state_dict()}
torch.save(found, f"{folder}/found{rank}.pt")
"""


@pytest.mark.slow
def test_statistics_and_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    layers: dict[str, dict[str, Any]] = {
        "usual": {},
        "mean of all": {"momentum": None},
        "no statistics": {"track_running_stats": False},
        "bare": {"affine": False, "eps": 1e-3},
    }
    x = torch.randn(5, 3, 4, 6, dtype=torch.float64) * 3 + 50  # far from 0: nothing may cancel
    case = {
        "layers": layers,
        "x": x,
        "pull": torch.randn_like(x),
        "weights": {"weight": torch.rand(3).double(), "bias": torch.rand(3).double()},
    }
    torch.save(case, tmp_path / "case.pt")
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    processes = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in (0, 1)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    halves = [torch.load(tmp_path / f"found{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, options in layers.items():
        layer = nn.BatchNorm2d(3, **options).double()
        if options.get("affine", True):
            layer.load_state_dict({**layer.state_dict(), **case["weights"]})
        whole = x.clone().requires_grad_()
        for _ in range(2):
            y = layer(whole)
        (y * case["pull"]).sum().backward()
        for key, expected in (("y", y.detach()), ("x", whole.grad)):
            together = torch.cat([half[name][key] for half in halves])
            torch.testing.assert_close(together, expected, msg=f"{name}: {key}")
        for key, parameter in layer.named_parameters():
            assert halves[0][name][f"0.{key}"].shape == parameter.shape
        for key, value in layer.state_dict().items():
            for half in halves:
                torch.testing.assert_close(half[name][f"0.{key}"], value, msg=f"{name}: {key}")


@pytest.mark.slow
def test_two_processes_train_the_network_of_one(
    comparable: Callable[..., RunConfig], tmp_path: Path
) -> None:
    train(comparable(train__out=tmp_path / "one"))
    two = comparable(train__out=tmp_path / "two", train__devices=2)
    train(two)
    apart = {"train__devices": 2, "train__sync_batchnorm": False}
    train(comparable(train__out=tmp_path / "apart", **apart))
    weights = {
        run: load_file(tmp_path / run / "checkpoints/last/model.safetensors")
        for run in ("one", "two", "apart")
    }
    assert weights["one"].keys() == weights["two"].keys()
    for name, expected in weights["one"].items():
        torch.testing.assert_close(weights["two"][name], expected, rtol=1e-5, atol=2e-6, msg=name)
    assert any(name.endswith("running_var") for name in weights["one"])
    assert not all(
        torch.allclose(weights["apart"][name], value, rtol=1e-3, atol=1e-5)
        for name, value in weights["one"].items()
    )
    for alone, shared in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert shared["train/total"] == pytest.approx(alone["train/total"], rel=1e-5)
        assert shared["val/mIoU"] == pytest.approx(alone["val/mIoU"], abs=2e-3)
        assert shared["val/loss"] == pytest.approx(alone["val/loss"], rel=1e-4)
    # The checkpoint is that of an ordinary network, and measures the same.
    changes = {"split": "val", "bootstrap": 0, "montages": 0}
    measured = evaluate(tmp_path / "two", two.eval.model_copy(update=changes))
    assert measured.scores["mIoU"] == max(row["val/mIoU"] for row in rows(tmp_path / "two"))
