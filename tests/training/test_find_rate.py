"""The learning-rate range test: what it tries, what it notes, what it suggests."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segloom.cli.main import main
from segloom.config import RunConfig
from segloom.config.load import dump_config
from segloom.errors import ConfigError, TrainingError
from segloom.training import find_rate as room
from segloom.training.find_rate import RateTest, find_rate, running_mean, smooth, suggest_rate
from segloom.training.module import SegmentationTask

Tiny = Callable[..., RunConfig]


def test_rates_rise_geometrically_and_losses_are_those_of_the_steps(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    groups: list[list[float]] = []
    step = SegmentationTask.training_step

    def spy(self: SegmentationTask, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        values = step(self, batch, batch_idx)
        seen.append(float(values["total"]))
        groups.append([group["lr"] for group in self.optimizers().param_groups])
        return values

    monkeypatch.setattr(SegmentationTask, "training_step", spy)
    found = find_rate(tiny(optim__encoder_lr=3e-4), 20, 1e-5, 1e-2)
    assert found.losses == tuple(seen)
    assert len(found.rates) == len(found.smoothed) == 20
    assert found.rates[0] == pytest.approx(1e-5)
    assert found.rates[-1] == pytest.approx(1e-2)
    ratios = [later / earlier for earlier, later in pairwise(found.rates)]
    assert ratios == pytest.approx([1000 ** (1 / 19)] * 19)
    for rates, rate in zip(groups, found.rates, strict=True):
        # optim.lr is ten times optim.encoder_lr, at every step.
        assert set(np.round(np.array(rates) / rate, 9)) == {0.1, 1.0}
    assert not (tmp_path / "run").exists()


def test_losses_are_means_over_the_parts_of_a_step(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    step = SegmentationTask.training_step

    def spy(self: SegmentationTask, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        values = step(self, batch, batch_idx)
        seen.append(float(values["total"]))
        return values

    monkeypatch.setattr(SegmentationTask, "training_step", spy)
    # Eight images an epoch: two steps of two parts, of two images each.
    config = tiny(data__batch_size=4, train__accumulate=2, train__steps_per_epoch=2)
    found = find_rate(config, 20, 1e-5, 1e-3)
    parts = np.array(seen).reshape(-1, 2)
    assert found.losses == pytest.approx(parts.mean(axis=1).tolist())


def test_a_loss_that_runs_away_ends_the_test_early(tiny: Tiny) -> None:
    found = find_rate(tiny(optim__name="sgd"), 40, 1e-3, 1e6)
    assert found.ran_away
    assert len(found.rates) < 40
    assert all(map(math.isfinite, found.losses))
    assert all(map(math.isfinite, found.smoothed))
    if found.suggestion is not None:
        assert found.suggestion < found.rates[-1]


def test_a_fall_is_found_where_it_is_steepest() -> None:
    decades = np.linspace(-6, 0, 100)
    rng = np.random.default_rng(0)
    # From 2 to 0.5 around 10^-3, then up again.
    curve = 0.5 + 1.5 / (1 + np.exp(4 * (decades + 3))) + np.maximum(0, decades + 1) ** 2
    losses = (curve + rng.normal(0, 0.05, 100)).tolist()
    rates = (10**decades).tolist()
    found = suggest_rate(rates, losses, smooth(losses, 5), 5)
    assert found is not None
    assert abs(math.log10(found) + 3) < 0.35


@pytest.mark.parametrize(("steps", "span"), [(20, 4.0), (100, 5.0)])
@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_where_the_loss_only_scatters_or_rises_nothing_is_suggested(
    slope: float, steps: int, span: float
) -> None:
    rates = np.geomspace(1e-6, 1, steps).tolist()
    found = []
    for seed in range(100):
        noise = np.random.default_rng(seed).normal(0, 0.1, steps)
        losses = (1 + slope * np.linspace(0, 1, steps) + noise).tolist()
        found.append(suggest_rate(rates, losses, smooth(losses, span), span))
    assert sum(rate is not None for rate in found) <= 1


def test_running_mean_is_the_weighted_mean_of_what_came_before() -> None:
    values = [3.0, 1.0, 2.0]
    weights = np.array([0.75**2, 0.75, 1.0])
    expected = float((weights * values).sum() / weights.sum())
    assert running_mean(values, 4) == pytest.approx([3.0, (0.75 * 3 + 1) / 1.75, expected])


def test_one_huge_last_loss_does_not_drown_the_others() -> None:
    losses = [1.0] * 50 + [0.5] * 49 + [1e12]
    assert max(smooth(losses, 5)) < 2.1


def test_a_loss_that_is_no_number_from_the_start_is_an_error(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: SegmentationTask, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        bad = self.step.model(self.step.normalize(batch["image"])).sum() * math.nan
        return {"total": bad.detach(), "loss": bad}

    monkeypatch.setattr(SegmentationTask, "training_step", broken)
    with pytest.raises(TrainingError, match="no number at the first step"):
        find_rate(tiny(), 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 5}, "steps is 5, but must be greater than or equal to 20"),
        ({"lowest": 0.0}, "lowest is 0.0, but must be greater than 0"),
        ({"lowest": 1.0, "highest": 0.1}, "rates rise from lowest 1 to highest 0.1"),
        ({"highest": math.inf}, "highest is inf, but must be a finite number"),
    ],
)
def test_options_out_of_range_are_refused(
    tiny: Tiny, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        find_rate(tiny(), **options)


@pytest.mark.slow
def test_command_writes_table_and_picture_beside_a_run_and_changes_nothing_in_it(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "squares.yaml"
    file.write_text(dump_config(tiny(train__epochs=1)))
    words = ["train", str(file), "--find-lr", "--find-lr.steps", "20", "--find-lr.highest", "0.5"]
    assert main(words) == 0  # before a training
    assert main(["train", str(file)]) == 0  # its files are no run that could be lost
    run = tmp_path / "run"
    (run / "find_lr.csv").unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    del before[run / "find_lr.png"]
    capsys.readouterr()
    assert main(words) == 0
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {run / "find_lr.csv", run / "find_lr.png"}
    with (run / "find_lr.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    assert float(rows[0]["lr"]) == pytest.approx(1e-6)
    assert (run / "find_lr.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("suggestion", [2.14e-3, None])
def test_command_says_what_it_found_in_one_line(
    tiny: Tiny,
    tmp_path: Path,
    suggestion: float | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fake(config: RunConfig, steps: int, *rates: float, show_progress: bool) -> RateTest:
        assert show_progress
        assert (steps, *rates) == (30, 1e-5, 1.0)
        return RateTest((1e-5, 1e-3), (1.0, 0.5), (1.0, 0.6), suggestion)

    monkeypatch.setattr(room, "find_rate", fake)
    file = tmp_path / "squares.yaml"
    file.write_text(dump_config(tiny()))
    words = ["--find-lr.steps", "30", "--find-lr.lowest", "1e-5", "--optim.name", "sgd"]
    assert main(["train", str(file), *words]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    if suggestion is None:
        assert "no suggestion" in line
        assert "--optim.lr" not in line
    else:
        assert "--optim.lr 2.1e-03" in line
        assert "starting point" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--find-lr.steps", "3"], "find-lr.steps is 3, but must be greater than or equal to 20"),
        (["--find-lr.step", "30"], "unknown option '--find-lr.step': did you mean '--find-lr.s"),
        (["--find-lr.lowest"], "--find-lr.lowest"),
        (["--find-lr", "--train.resume"], "leave train.resume out"),
    ],
)
def test_bad_options_are_one_sentence(
    tiny: Tiny, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "squares.yaml"
    file.write_text(dump_config(tiny()))
    assert main(["train", str(file), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_generators_of_torch_are_free_again(tiny: Tiny) -> None:
    find_rate(tiny(), 20, 1e-5, 1e-3)
    assert not torch.are_deterministic_algorithms_enabled()
