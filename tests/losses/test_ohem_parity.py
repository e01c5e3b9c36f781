"""OHEM and the criterion of FENet equal the recorded values of the released program."""

from __future__ import annotations

import pytest
import torch

from segloom.enhancements.edge_supervision import edge_map_loss
from segloom.errors import ConfigError
from segloom.losses import build_loss
from segloom.ops.resize import resize


@pytest.mark.parametrize("case", range(4))
def test_ohem_with_a_least_count_has_the_recorded_value_and_gradient(recorded, case) -> None:
    data = recorded("ohem_ce")
    threshold, min_kept = data[f"out.case{case}.params"]
    logits = data["in.logits"].requires_grad_()
    loss = build_loss("ohem", threshold=float(threshold), min_kept=int(min_kept))
    value = loss(logits, data["in.target"])
    value.backward()
    data.compare(value, f"out.case{case}.loss", 1e-5)
    data.compare(logits.grad, f"out.case{case}.grad", 1e-5)


def test_the_criterion_of_fenet_is_a_sum_of_ours(recorded) -> None:
    data = recorded("fenet_criterion")
    settings, target = data.json("meta.params"), data["in.target"]
    ohem = build_loss("ohem", threshold=settings["thresh"], min_kept=settings["min_kept"])

    def of(name):
        return ohem(resize(data[name], target.shape[-2:]), target).item()

    main, auxiliary = of("in.main"), of("in.aux0") + of("in.aux1")
    data.compare(main, "out.main_only", 1e-5)
    total = main + settings["aux_weight"] * auxiliary
    data.compare(total, "out.main_aux", 1e-5)
    probability = resize(data["in.edge_prob"], target.shape[-2:])
    edge = edge_map_loss(probability, data["in.edge_gt"]).item()
    data.compare(edge, "out.edge_only", 1e-5)
    data.compare(total + edge, "out.main_aux_edge", 1e-5)


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
