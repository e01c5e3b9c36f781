"""OHEM and the criterion of FENet equal the recorded values of the released program."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from segloom.enhancements.edge_supervision import balanced_edge_loss
from segloom.errors import ConfigError
from segloom.losses import build_loss
from segloom.ops.resize import resize


@pytest.fixture
def reference(shared):
    """Read one recorded file as arrays."""

    def read(name):
        with np.load(shared / "fixtures" / "fenet_linknet" / f"{name}.npz") as file:
            return {key: file[key] for key in file.files}

    return read


@pytest.mark.parametrize("case", range(4))
def test_ohem_with_a_least_count_has_the_recorded_value_and_gradient(reference, case) -> None:
    data = reference("ohem_ce")
    threshold, min_kept = data[f"out.case{case}.params"]
    logits = torch.from_numpy(data["in.logits"]).requires_grad_()
    loss = build_loss("ohem", threshold=float(threshold), min_kept=int(min_kept))
    value = loss(logits, torch.from_numpy(data["in.target"]))
    value.backward()
    assert value.item() == pytest.approx(float(data[f"out.case{case}.loss"]), rel=1e-5)
    expected = torch.from_numpy(data[f"out.case{case}.grad"])
    torch.testing.assert_close(logits.grad, expected, rtol=1e-4, atol=1e-6)


def test_the_criterion_of_fenet_is_a_sum_of_ours(reference) -> None:
    data = reference("fenet_criterion")
    settings = json.loads(str(data["meta.params"]))
    tensors = {k: torch.from_numpy(v) for k, v in data.items() if k.startswith("in.")}
    target = tensors["in.target"]
    ohem = build_loss("ohem", threshold=settings["thresh"], min_kept=settings["min_kept"])

    def of(name):
        return ohem(resize(tensors[name], target.shape[-2:]), target).item()

    main, auxiliary = of("in.main"), of("in.aux0") + of("in.aux1")
    assert main == pytest.approx(float(data["out.main_only"]), rel=1e-5)
    total = main + settings["aux_weight"] * auxiliary
    assert total == pytest.approx(float(data["out.main_aux"]), rel=1e-5)
    probability = resize(tensors["in.edge_prob"], target.shape[-2:])
    edge = balanced_edge_loss(probability, tensors["in.edge_gt"]).item()
    assert edge == pytest.approx(float(data["out.edge_only"]), rel=1e-5)
    assert total + edge == pytest.approx(float(data["out.main_aux_edge"]), rel=1e-5)


def test_as_hard_as_the_last_one_kept_counts_too() -> None:
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0, 0] = torch.tensor([9.0, 5.0, 5.0, 7.0])
    target = torch.zeros(1, 1, 4, dtype=torch.int64)
    losses = torch.nn.functional.cross_entropy(logits, target, reduction="none").flatten()
    value = build_loss("ohem", min_kept=1)(logits, target)
    torch.testing.assert_close(value, losses[[1, 2]].mean())


def test_a_least_count_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="min_kept must be 1 or more; got 0"):
        build_loss("ohem", min_kept=0)
