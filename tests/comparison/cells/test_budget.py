"""Budgets of a comparison, and what a plan is expected to take, from probes of its cells."""

from __future__ import annotations

import json

import pytest

from segloom.comparison.cells.budget import budgeted_cells, kind, probe_cells
from segloom.comparison.cells.plan import make_cells
from segloom.comparison.cells.probe import Probe
from segloom.config.training import StageConfig
from segloom.files import write_json

PROBE = {
    "step_seconds": 0.5,
    "validation_seconds": 0.25,
    "test_seconds": 2.0,
    "memory_gib": 1.5,
    "steps_per_epoch": 40,
    "num_validation": 20,
    "num_test": 10,
}


def test_estimate_counts_steps_validations_and_test_images(recipe):
    train = recipe.train.model_copy(update={"epochs": 7, "validate_every": 3})
    config = recipe.model_copy(update={"train": train})
    found = Probe(**PROBE)
    assert found.train_seconds(config) == 7 * 40 * 0.5 + 3 * 20 * 0.25
    assert found.seconds(config) == found.train_seconds(config) + 20
    short = config.model_copy(update={"train": train.model_copy(update={"steps_per_epoch": 10})})
    assert found.train_seconds(short) == 7 * 10 * 0.5 + 3 * 20 * 0.25


@pytest.mark.parametrize(("steps", "epochs", "per_epoch"), [(1, 1, 1), (2, 1, 2), (7, 4, 2)])
def test_steps_become_epochs_of_the_data(plan, tmp_path, steps, epochs, per_epoch):
    # 5 images in batches of 2, of which a last one of a single image is left out.
    for cell in budgeted_cells(plan(steps=steps), tmp_path):
        train = cell.config.train
        assert (train.epochs, train.steps_per_epoch) == (epochs, per_epoch)


def test_minutes_give_a_slower_network_fewer_steps(plan, tmp_path):
    chosen = plan(minutes=2.0, seeds=(0, 1))
    cells = make_cells(chosen, tmp_path)
    slow = {**PROBE, "step_seconds": 1.0}
    names = [kind(cell) for cell in cells]
    write_json(tmp_path / "probe.json", {names[0]: PROBE, names[1]: slow})
    steps = {
        kind(cell): cell.config.train.epochs * cell.config.train.steps_per_epoch
        for cell in budgeted_cells(chosen, tmp_path)
    }
    # 120 s less one validation of 5 s: 230 steps of 0.5 s, or 115 of 1 s.
    assert steps[names[0]] == pytest.approx(230, abs=6)
    assert steps[names[1]] == pytest.approx(115, abs=3)


@pytest.mark.slow
def test_kinds_are_probed_once_and_kept_and_a_kind_that_fails_says_why(plan, tmp_path):
    chosen = plan(enhancements=("none", "se:place=aspp"), seeds=(0, 1))
    cells = make_cells(chosen, tmp_path)
    found = probe_cells(cells, tmp_path)
    assert len(found) == 2
    good = found[kind(cells[0])]
    assert isinstance(good, Probe)
    assert good.steps_per_epoch == 2
    assert (good.num_validation, good.num_test) == (2, 4)
    assert min(good.step_seconds, good.validation_seconds, good.test_seconds) > 0
    bad = next(value for value in found.values() if isinstance(value, str))
    assert "aspp" in bad
    assert json.loads((tmp_path / "probe.json").read_text())[kind(cells[0])]["num_test"] == 4
    write_json(tmp_path / "probe.json", {kind(cell): PROBE for cell in cells})
    assert probe_cells(cells, tmp_path)[kind(cells[0])] == Probe(**PROBE)  # nothing anew


def test_probe_takes_the_last_stage_of_a_training_in_stages(recipe):
    from segloom.comparison.cells.probe import _measure

    stages = (StageConfig(crop=(32, 32), batch_size=5), StageConfig(crop=(32, 32), batch_size=3))
    train = recipe.train.model_copy(update={"epochs": 2, "stages": stages})
    assert _measure(recipe.model_copy(update={"train": train})).steps_per_epoch == 2
