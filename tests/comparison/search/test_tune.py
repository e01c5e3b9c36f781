"""A search: what it draws, stops, keeps and says.

Quick tests put a script in the place of a training.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segloom.cli.main import main
from segloom.comparison.engines.local import ComparisonStopped
from segloom.comparison.search import tune as room
from segloom.comparison.search.study import open_folder, open_study, working_alone
from segloom.comparison.search.trials import Tuning
from segloom.comparison.search.tune import tune
from segloom.config.load import dump_config, load_run_config
from segloom.config.tuning import TuningPlan
from segloom.errors import ConfigError

SCRIPT = """\
import json, os, pathlib, sys, time
folder, score, epochs, pause, end = sys.argv[1:]
run = pathlib.Path(folder)
run.mkdir(exist_ok=True)
(run / f"process-{os.getpid()}").touch()
rows = []
for epoch in range(1, int(epochs) + 1):
    rows.append({"epoch": epoch, "val/mIoU": float(score) * epoch / int(epochs), "seconds": 1.0})
    part = run / "part"
    part.write_text("".join(json.dumps(row) + "\\n" for row in rows))
    part.replace(run / "metrics.jsonl")
    time.sleep(float(pause))
if end == "kill":
    os.kill(os.getpid(), 9)
outcome = {"state": "done", "validation_miou": float(score)}
if end == "fail":
    outcome = {"state": "failed", "cause": "out of memory; lower data.batch_size."}
(run / "cell.json").write_text(json.dumps(outcome))
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Let trials be a script; its score is highest at a learning rate of 1e-2."""
    from math import log10

    options = {"epochs": 3, "pause": 0.0, "end": "done"}
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)

    def start(cell, workers):
        score = 1 / (1 + abs(log10(cell.config.optim.lr) + 2))
        words = [cell.path, score, options["epochs"], options["pause"], options["end"]]
        return subprocess.Popen([sys.executable, "-S", str(file), *map(str, words)])

    monkeypatch.setattr(room, "start_trial", start)
    monkeypatch.setattr(room, "POLL_SECONDS", 0.02)
    return options


@pytest.fixture
def search(recipe):
    def build(*texts, **options):
        texts = texts or ("optim.lr=1e-5..1:log",)
        return TuningPlan(search=texts, recipe=recipe, **{"trials": 4, **options})

    return build


def options_of(tuning: Tuning) -> list[dict]:
    return [dict(trial.options) for trial in tuning.trials]


def test_best_trial_is_kept_with_tables_a_config_and_an_honest_word(script, search, tmp_path):
    folder = tmp_path / "search"
    result = tune(search(prune=False), folder)
    scores = [trial.miou for trial in result.trials]
    assert [trial.state for trial in result.trials] == ["done"] * 4
    assert len(set(scores)) == 4
    best = result.trials[scores.index(max(scores))]
    assert result.best == best
    config = load_run_config(folder / "best.yaml")
    assert config.optim.lr == best.options["optim.lr"]
    assert config.train.out is None
    assert config.data == result.plan.recipe.data
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["validation_mIoU"]) for row in rows] == scores
    assert [float(row["optim.lr"]) for row in rows] == [
        t.options["optim.lr"] for t in result.trials
    ]
    assert {(row["epochs"], row["seconds"]) for row in rows} == {("3", "3.0")}
    text = (folder / "trials.md").read_text()
    assert text.splitlines()[2].startswith(f"| {best.number} | done | {best.miou:.4f} | 3 |")
    assert "is optimistic" in text
    assert "segloom compare" in text


@pytest.mark.slow
def test_a_search_learns_from_its_trials(script, search, tmp_path):
    result = tune(search(trials=20, startup_trials=8, prune=False), tmp_path / "search")
    scores = [trial.miou for trial in result.trials]
    assert sum(scores[-6:]) / 6 > sum(scores[:8]) / 8


def test_a_pruned_trial_loses_its_process(script, search, tmp_path):
    import optuna

    script.update(epochs=1000, pause=0.05)
    folder, plan = tmp_path / "search", search(trials=2, startup_trials=1)
    open_folder(plan, folder)
    space = {"optim.lr": optuna.distributions.FloatDistribution(1e-5, 1, log=True)}
    good = optuna.trial.create_trial(
        value=0.99,
        params={"optim.lr": 0.01},
        distributions=space,
        intermediate_values=dict.fromkeys(range(1, 1001), 0.99),
    )
    study = open_study(plan, folder)
    study.add_trial(good)
    (folder / "cells").mkdir()
    (folder / "cells/trial-0000.yaml").write_text(dump_config(plan.recipe))
    result = tune(plan, folder)
    pruned = result.trials[1]
    assert pruned.state == "pruned"
    assert 2 <= pruned.epochs < 1000  # the first epoch is never pruned
    (process,) = (folder / "cells/trial-0001").glob("process-*")
    with pytest.raises(ProcessLookupError):
        os.kill(int(process.name.removeprefix("process-")), 0)
    assert result.best.number == 0
    script.update(epochs=4, pause=0.0)
    later = tune(plan.model_copy(update={"trials": 3, "prune": False}), folder)
    assert [trial.state for trial in later.trials] == ["done", "pruned", "done"]


def test_failed_trials_have_a_cause_and_the_others_go_on(script, search, tmp_path):
    folder = tmp_path / "search"
    script["end"] = "fail"
    first = tune(search(trials=1), folder)
    assert first.best is None
    assert "No trial came to its end (1 failed)" in first.verdict
    script["end"] = "kill"
    tune(search(trials=2), folder)
    assert len(list((folder / "cells/trial-0001").glob("process-*"))) == 3
    script["end"] = "done"
    result = tune(search(trials=3), folder)
    assert [trial.state for trial in result.trials] == ["failed", "failed", "done"]
    assert result.trials[0].cause == "out of memory; lower data.batch_size."
    assert "killed by signal 9 (SIGKILL), as the system does" in result.trials[1].cause
    assert result.best.number == 2
    assert "Trial 0: out of memory" in (folder / "trials.md").read_text()


def test_options_that_do_not_fit_each_other_fail_their_trial_alone(script, search, tmp_path):
    plan = search(
        "data.coarse=true,false",
        "data.class_uniform_until=none,3",
        trials=8,
        startup_trials=8,
    )
    data = plan.recipe.data.model_copy(
        update={"class_uniform": 0.5, "class_uniform_coarse": ("square",)}
    )
    plan = plan.model_copy(update={"recipe": plan.recipe.model_copy(update={"data": data})})
    result = tune(plan, tmp_path / "search")
    for trial in result.trials:
        clashes = trial.options == {"data.coarse": "true", "data.class_uniform_until": "3"}
        assert trial.state == ("failed" if clashes else "done")
        assert ("leave class_uniform_until out" in trial.cause) == clashes
    assert {trial.state for trial in result.trials} == {"done", "failed"}


def test_a_stopped_search_goes_on_as_if_it_had_not_been_stopped(script, search, tmp_path):
    texts = ("optim.lr=1e-5..1:log", "data.batch_size=1,2,3")
    plan = search(*texts, trials=4, startup_trials=2, prune=False)
    whole = tune(plan, tmp_path / "whole")

    def stop(tuning):
        if len(tuning.trials) == 2:  # the next one, the third, would take for ever
            script.update(epochs=1000, pause=0.05)
        if len(tuning.trials) == 3 and tuning.trials[2].epochs >= 2:
            signal.raise_signal(signal.SIGINT)

    folder = tmp_path / "parts"
    with pytest.raises(ComparisonStopped):
        tune(plan, folder, on_change=stop)
    assert json.loads((folder / "cells/trial-0001/cell.json").read_text())["state"] == "done"
    assert not (folder / "cells/trial-0002/cell.json").exists()
    script.update(epochs=3, pause=0.0)
    kept = (folder / "cells/trial-0001/cell.json").stat().st_mtime_ns
    result = tune(plan, folder)
    assert options_of(result) == options_of(whole)
    assert [trial.miou for trial in result.trials] == [trial.miou for trial in whole.trials]
    assert (folder / "cells/trial-0001/cell.json").stat().st_mtime_ns == kept


def test_several_trials_run_at_once(script, search, tmp_path):
    script.update(epochs=2, pause=0.5)
    most = 0

    def look(tuning):
        nonlocal most
        most = max(most, sum(trial.state == "running" for trial in tuning.trials))

    result = tune(search(trials=4), tmp_path / "search", workers=3, on_change=look)
    assert most == 3
    assert [trial.state for trial in result.trials] == ["done"] * 4


def test_folders_of_something_else_are_refused(script, search, recipe, tmp_path):
    folder = tmp_path / "search"
    tune(search(trials=1), folder)
    with pytest.raises(ConfigError, match=r"holds a search of optim\.lr=1e-5\.\.1:log, not of"):
        tune(search("optim.lr=1e-4..1:log"), folder)
    model = recipe.model.model_copy(update={"architecture": "fpn"})
    other = recipe.model_copy(update={"model": model})
    with pytest.raises(ConfigError, match=r"model\.architecture was 'unet', is 'fpn'"):
        tune(search().model_copy(update={"recipe": other}), folder)
    with (
        working_alone(folder),
        pytest.raises(ConfigError, match="another `segloom tune` works on"),
    ):
        tune(search(), folder)
    (folder / "study.db").write_text("no database")
    with pytest.raises(ConfigError, match=r"study\.db cannot be read"):
        tune(search(), folder)
    (folder / "study.db").unlink()
    with pytest.raises(ConfigError, match=r"has trials but no study\.db"):
        tune(search(), folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(ConfigError, match="is not empty and holds no search"):
        tune(search(), tmp_path / "full")
    with pytest.raises(ConfigError, match="is a file"):
        tune(search(), tmp_path / "full" / "notes.txt")


def test_without_optuna_the_package_is_named(search, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'segloom\[tune\]'"):
        tune(search(), tmp_path / "search")
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is searched"),
        (["--search", "optim.lr=0..1"], "optim.lr is 0.0, but must be greater than 0"),
        (["--search", "model.enhancements=none,amfa"], "did you mean 'afma'?"),
        (["--search=model.architecture=unet,unett"], "did you mean 'unet'?"),
        (["--search", "optim.lr=1,2", "--trials", "0"], "trials is 0, but must be greater"),
        (["--search", "optim.lr=1,2", "--trails", "9"], "did you mean '--trials'?"),
        (["--search", "optim.lr=1,2", "--workers", "0"], "workers is 0"),
        (["--search", "optim.lr=1,2", "--data.root", "/nowhere"], "/nowhere is not a folder"),
    ],
)
def test_mistakes_on_the_command_line_are_one_sentence(recipe, tmp_path, capsys, words, message):
    file = tmp_path / "squares.yaml"
    file.write_text(dump_config(recipe))
    assert main(["tune", str(file), "--out", str(tmp_path / "search"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "search").exists()


def test_command_divides_search_own_and_recipe_options(script, recipe, tmp_path, capsys):
    file = tmp_path / "squares.yaml"
    file.write_text(dump_config(recipe))
    words = ["--search", "optim.lr=1e-4,1e-2", "data.batch_size=2,4", "--trials", "3"]
    words += ["--optim.name", "sgd", "train.epochs=3", "--out", str(tmp_path / "search")]
    assert main(["tune", str(file), *words]) == 0
    printed = capsys.readouterr()
    assert "trial 3 of 3 done: mIoU" in printed.err
    assert f"next: segloom train {tmp_path / 'search' / 'best.yaml'}" in printed.out
    config = load_run_config(tmp_path / "search" / "best.yaml")
    assert (config.optim.name, config.train.epochs) == ("sgd", 3)


@pytest.mark.slow
def test_the_rate_that_learns_wins_and_the_test_images_are_not_needed(recipe, tmp_path, capsys):
    root = tmp_path / "data"
    shutil.copytree(recipe.data.root, root)
    shutil.rmtree(root / "test")
    file, folder = tmp_path / "squares.yaml", tmp_path / "search"
    file.write_text(dump_config(recipe))
    words = ["--search", "optim.lr=1e-12,1e-2", "--trials", "3", "--startup-trials", "3"]
    words += ["--data.root", str(root), "--train.epochs", "20", "--out", str(folder)]
    assert main(["tune", str(file), *words]) == 0, capsys.readouterr().err
    with (folder / "trials.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert {row["optim.lr"] for row in rows} == {"1e-12", "1e-2"}
    assert load_run_config(folder / "best.yaml").optim.lr == 1e-2
    assert main(["train", str(folder / "best.yaml"), "--train.out", str(tmp_path / "run")]) == 0


def driver(file: Path, folder: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "segloom", "tune", str(file), "--out", str(folder), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def epochs_of(run: Path) -> int:
    history = run / "metrics.jsonl"
    return len(history.read_text().splitlines()) if history.is_file() else 0


@pytest.mark.slow
def test_after_a_kill_of_the_driver_the_trial_goes_on_from_its_saved_state(recipe, tmp_path):
    file, folder = tmp_path / "squares.yaml", tmp_path / "search"
    file.write_text(dump_config(recipe))
    words = ["--search", "optim.lr=1e-4..1e-2:log", "--trials", "2", "--train.epochs", "60"]
    run = folder / "cells" / "trial-0000"
    process = driver(file, folder, *words)
    end = time.monotonic() + 200
    while epochs_of(run) < 3 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert 3 <= epochs_of(run) < 60
    process = driver(file, folder, *words)
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors.decode()
    # Its second start resumed: an overwritten run would have one line.
    assert len((run / "command.txt").read_text().splitlines()) == 2
    for number in range(2):
        assert epochs_of(folder / "cells" / f"trial-{number:04d}") == 60
    with (folder / "trials.csv").open() as table:
        assert [row["state"] for row in csv.DictReader(table)] == ["done", "done"]
