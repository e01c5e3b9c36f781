"""What is said of the trials of a search: which is best, the tables, and the verdict."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import pytest

from segloom.comparison.search.trials import (
    TrialResult,
    Tuning,
    read_trials,
    trials_markdown,
    write_results,
)
from segloom.config import RunConfig
from segloom.config.load import dump_config, load_run_config
from segloom.config.tuning import Choices, Span, TuningPlan

AXES = (
    Span("optim.lr", 1e-4, 1e-1, is_log=True, is_integer=False),
    Choices("model.enhancements", {"none": (), "afma": ("afma",)}),
)


def trial(number: int, state: str = "done", miou: float | None = 0.5, **values: object):
    options = {"optim.lr": 0.0123456, "model.enhancements": "afma"}
    fields = {"epochs": 3, "seconds": 1.5, "options": options, "cause": "", **values}
    return TrialResult(number=number, state=state, miou=miou, **fields)


def tuning(*trials: TrialResult, folder: Path = Path("search")) -> Tuning:
    return Tuning(folder, TuningPlan(), AXES, trials)


def test_the_best_is_the_first_of_those_that_are_done() -> None:
    found = [trial(0, miou=0.4), trial(1, "pruned", 0.9), trial(2, miou=0.6), trial(3, miou=0.6)]
    assert tuning(*found).best == found[2]
    assert tuning(found[1], trial(4, "running", 0.8)).best is None


def test_the_verdict_counts_every_state_that_occurs() -> None:
    found = tuning(trial(0, miou=0.61237), trial(1, "failed", None), trial(2, miou=0.2))
    assert found.verdict.startswith(
        "Best of 3 trials (2 done, 1 failed): trial 0, validation mIoU 0.6124, with "
        "optim.lr=0.01235 model.enhancements=afma. The best of several"
    )


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ((), "none began"),
        ((trial(0, "running", None),), "none began"),
        ((trial(0, "failed", None), trial(1, "pruned"), trial(2, "pruned")), "2 pruned, 1 failed"),
    ],
)
def test_a_search_without_a_finished_trial_says_so(
    trials: tuple[TrialResult, ...], words: str
) -> None:
    assert tuning(*trials).verdict == f"No trial came to its end ({words})."


def test_the_table_has_the_finished_trials_first_and_the_better_above() -> None:
    lines = trials_markdown(
        tuning(
            trial(0, "failed", None, epochs=0, options={}, cause="out | of memory"),
            trial(1, "running", 0.9),
            trial(2, "pruned", 0.95),
            trial(3, miou=0.25),
            trial(4, miou=0.75),
        )
    ).splitlines()
    assert lines[:2] == [
        "| trial | state | validation mIoU | epochs | optim.lr | model.enhancements |",
        "|---|---|---|---|---|---|",
    ]
    assert lines[2] == "| 4 | done | 0.7500 | 3 | 0.01235 | afma |"
    assert [line.split("|")[1].strip() for line in lines[2:7]] == ["4", "3", "2", "1", "0"]
    assert lines[6] == "| 0 | failed |  | 0 |  |  |"
    assert lines[8] == r"Trial 0: out \| of memory"


def frozen(number: int, state: str, value: float | None, seen: dict[int, float], **attributes):
    return SimpleNamespace(
        number=number,
        state=SimpleNamespace(name=state),
        value=value,
        intermediate_values=seen,
        user_attrs=attributes,
        params={"optim.lr": 0.01},
    )


def test_trials_are_read_with_the_best_of_their_epochs() -> None:
    trials = [
        frozen(0, "COMPLETE", 0.5, {1: 0.4, 2: 0.7}, epochs=9, seconds=4.0),
        frozen(1, "PRUNED", 0.1, {1: 0.3, 2: 0.2}),
        frozen(2, "FAIL", None, {}, cause="no memory"),
        frozen(3, "WAITING", None, {}),
    ]
    study = SimpleNamespace(get_trials=lambda deepcopy: trials)
    found = read_trials(TuningPlan(), AXES, Path("search"), study).trials
    assert [(t.state, t.miou, t.epochs, t.seconds) for t in found] == [
        ("done", 0.5, 9, 4.0),
        ("pruned", 0.3, 2, None),
        ("failed", None, 0, None),
        ("running", None, 0, None),
    ]
    assert [t.cause for t in found] == ["", "", "no memory", ""]


def test_the_files_keep_full_numbers_and_the_best_config_without_its_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "cells").mkdir()
    config = RunConfig.model_validate({"train": {"out": tmp_path / "cells/trial-0007", "seed": 5}})
    (tmp_path / "cells" / "trial-0007.yaml").write_text(dump_config(config))
    write_results(tuning(trial(6, miou=0.1), trial(7, options={}), folder=tmp_path))
    best = load_run_config(tmp_path / "best.yaml")
    assert (best.train.out, best.train.seed) == (None, 5)
    with (tmp_path / "trials.csv").open() as file:
        first, second = csv.DictReader(file)
    assert list(first) == [
        *("trial", "state", "validation_mIoU", "epochs", "seconds"),
        *("optim.lr", "model.enhancements", "cause"),
    ]
    assert (first["trial"], first["optim.lr"], first["seconds"]) == ("6", "0.0123456", "1.5")
    assert (second["optim.lr"], second["model.enhancements"]) == ("", "")


def test_without_a_finished_trial_there_is_no_best_config(tmp_path: Path) -> None:
    write_results(tuning(trial(0, "pruned"), folder=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trials.csv", "trials.md"]
