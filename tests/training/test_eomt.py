"""Training of EoMT and of a linear head, as a user starts it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from segloom.config import RunConfig
from segloom.models.networks.eomt import EomtDecoder
from segloom.models.weights.checkpoint import from_pretrained
from segloom.training import train


def test_eomt_trains_with_its_own_loss_and_anneals_its_masks(
    tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    anneal = EomtDecoder.anneal

    def note(self: EomtDecoder, progress: float) -> None:
        shares.append(progress)
        anneal(self, progress)

    monkeypatch.setattr(EomtDecoder, "anneal", note)
    config = tiny(
        model__architecture="eomt",
        model__encoder_name="tu-test_vit",
        model__options={"num_queries": 6},
        optim__encoder_lr=1e-4,
        loss__terms={"cross_entropy": 0.0, "eomt": 1.0},
    )
    train(config)
    assert shares == [step / 8 for step in range(8)]
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert rows[1]["train/eomt"] < rows[0]["train/eomt"]
    assert rows[1]["train/total"] == pytest.approx(rows[1]["train/eomt"])
    model = from_pretrained(tmp_path / "run")
    assert model.spec["architecture"] == "eomt"
    assert len(model.decoder.blocks) == 3


def test_a_linear_head_leaves_the_encoder_as_it_is(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = tiny(model__architecture="linear", model__encoder_name="tu-test_vit")
    result = train(config)
    assert result.miou is not None
    model = from_pretrained(tmp_path / "run")
    assert model.is_encoder_frozen
