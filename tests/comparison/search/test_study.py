"""The folder of a search, and what its sampler draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import FixedTrial

from segloom.comparison.search.study import ask, open_folder, open_study, sampler, working_alone
from segloom.config import RunConfig
from segloom.config.tuning import Choices, Span, TuningPlan
from segloom.errors import ConfigError


def plan(*search: str, recipe: dict[str, Any] | None = None, **options: Any) -> TuningPlan:
    config = RunConfig.model_validate(recipe or {})
    return TuningPlan(search=search or ("optim.lr=1e-4..1e-2",), recipe=config, **options)


def test_a_new_folder_holds_the_plan_and_the_lock_of_another_search_is_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / ".tune.lock").touch()
    open_folder(plan(trials=7), folder)
    saved = yaml.safe_load((folder / "tune.yaml").read_text())
    assert (saved["search"], saved["trials"]) == (["optim.lr=1e-4..1e-2"], 7)


def test_a_search_goes_on_with_more_trials_elsewhere_and_in_another_order(tmp_path: Path) -> None:
    texts = ("optim.lr=1e-4..1e-2", "train.epochs=1..3")
    open_folder(plan(*texts), tmp_path)
    moved = {
        "data": {"root": "/elsewhere", "workers": 3, "cache": False},
        "train": {"out": "run", "threads": 2},
    }
    open_folder(plan(*texts[::-1], trials=99, recipe=moved), tmp_path)
    assert yaml.safe_load((tmp_path / "tune.yaml").read_text())["trials"] == 99


def test_every_option_that_changed_is_named_with_both_values(tmp_path: Path) -> None:
    open_folder(plan(recipe={"train": {"seed": 1}}), tmp_path)
    changed = {"train": {"seed": 2}, "model": {"architecture": "fpn"}, "data": {"workers": 9}}
    with pytest.raises(ConfigError) as error:
        open_folder(plan(recipe=changed), tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds a search on another recipe: model.architecture was 'unet', is 'fpn'; "
        "train.seed was 1, is 2; choose another folder with --out, or go on with the options in "
        f"{tmp_path / 'tune.yaml'}."
    )


@pytest.mark.parametrize("text", ["search: 3", "[", "- 1"])
def test_a_damaged_plan_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "tune.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"tune\.yaml"):
        open_folder(plan(), tmp_path)
    assert (tmp_path / "tune.yaml").read_text() == text


def test_a_folder_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), working_alone(tmp_path):
        raise ZeroDivisionError
    with working_alone(tmp_path):
        refused = pytest.raises(ConfigError, match="wait for it, or choose another folder with --")
        with refused, working_alone(tmp_path):
            pass


@pytest.mark.parametrize(
    ("axis", "drawn", "value"),
    [
        (Span("a", 0.5, 2.0, is_log=False, is_integer=False), 0.75, 0.75),
        (Span("a", 1, 9, is_log=True, is_integer=True), 9, 9),
        (Choices("a", {"none": (), "afma+celt": ("afma", "celt")}), "none", ()),
        (Choices("a", {"none": (), "afma+celt": ("afma", "celt")}), "afma+celt", ("afma", "celt")),
    ],
)
def test_a_trial_draws_from_the_axis_and_choices_become_their_values(
    axis: Span | Choices, drawn: object, value: object
) -> None:
    trial = FixedTrial({"a": drawn})
    assert ask(trial, axis) == value
    distribution = trial.distributions["a"]
    if isinstance(axis, Span):
        ends = (distribution.low, distribution.high, distribution.log)
        assert ends == (axis.low, axis.high, axis.is_log)
        assert type(ask(trial, axis)) is type(value)
    else:
        assert distribution.choices == tuple(axis.values)


def test_a_study_is_maximised_and_prunes_from_the_epoch_after_the_warm_up(tmp_path: Path) -> None:
    axis = Span("optim.lr", 1e-4, 1e-2, is_log=True, is_integer=False)
    options = plan(startup_trials=1, warmup_epochs=2)
    study = open_study(options, tmp_path)
    first = study.ask()
    for epoch in range(1, 6):
        first.report(0.9, epoch)
    study.tell(first, 0.9)
    second = study.ask()
    pruned = []
    for epoch in range(1, 5):
        second.report(0.1, epoch)
        pruned.append(second.should_prune())
    assert pruned == [False, False, True, True]
    ask(second, axis)
    study.tell(second, 0.1)
    assert open_study(options, tmp_path).best_trial.number == 0


def test_what_is_drawn_follows_from_the_seed_and_the_number_of_the_trial(tmp_path: Path) -> None:
    axis = Span("a", 0.0, 1.0, is_log=False, is_integer=False)

    def draw(name: str, number: int, **options: Any) -> object:
        folder = tmp_path / name
        folder.mkdir()
        study = open_study(plan(**options), folder)
        study.sampler = sampler(plan(**options), number)
        return ask(study.ask(), axis)

    first = draw("first", 0)
    assert draw("again", 0) == first
    assert draw("next", 1) != first
    assert draw("other", 0, seed=1) != first
