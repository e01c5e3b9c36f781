"""Cells on a real Ray cluster of this machine: processes that are killed, cells that fail, Ctrl-C.

Scratch is another folder than that of the comparison, as it is on another machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from segloom.cli.main import main
from segloom.comparison.cells.cell import attempts_file, log_file, outcome
from segloom.comparison.cells.plan import Cell, make_cells, read_plan
from segloom.comparison.engines.ray import _resources
from segloom.config import RunConfig
from segloom.config.engine import EngineOptions
from segloom.config.load import read_config
from segloom.errors import ConfigError, TrainingError
from segloom.ray_cluster import connection
from segloom.run_directory import RunDirectory

WAIT_SECONDS = 600


@pytest.fixture
def command(recipe: RunConfig, tmp_path: Path) -> Callable[..., list[str]]:
    """Build the words of a comparison on Ray; epochs and sets by name."""

    def build(epochs: int, enhancements: list[str]) -> list[str]:
        values = recipe.model_dump(mode="json")
        values["train"]["epochs"] = epochs
        plan = {"enhancements": enhancements, "recipes": {"folder": values}}
        (tmp_path / "squares.yaml").write_text(yaml.safe_dump(plan))
        words = ["compare", "squares.yaml", "--out", "lab", "--scratch", str(tmp_path / "scratch")]
        return [*words, "--engine", "ray"]

    return build


def start(words: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "segloom", *words],
        cwd=folder,
        # Ray's workers are nice by default, so that a busy machine lets them wait for minutes.
        env={**os.environ, "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(words: list[str], folder: Path) -> tuple[int, str]:
    process = start(words, folder)
    try:
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    finally:
        process.kill()
    return process.returncode, output


def begun_cell(process: subprocess.Popen[str], scratch: Path) -> tuple[str, int]:
    """Wait until a cell has trained two epochs; give its name and the process that trains it."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end and process.poll() is None:
        for history in scratch.glob("*/*/*/metrics.jsonl"):
            rows = history.read_text().splitlines()
            if len(rows) >= 2 and not (history.parent / "cell.json").exists():
                name = history.parent.name
                attempts = (history.parents[1] / f".{name}.attempts").read_text().splitlines()
                return name, json.loads(attempts[-1])["process"]
        time.sleep(0.02)
    raise AssertionError(f"no cell was begun: {process.communicate()[0]}")


def processes_of(cell: Cell) -> list[int]:
    return [json.loads(line)["process"] for line in attempts_file(cell).read_text().splitlines()]


def epochs_of(cell: Cell) -> list[int]:
    history = RunDirectory(cell.path).history.with_suffix(".jsonl")
    return [json.loads(line)["epoch"] for line in history.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_process_that_is_killed_in_the_middle_of_a_cell_costs_no_cell(command, tmp_path):
    words, scratch = command(8, ["none", "celt"]), tmp_path / "scratch"
    process = start(words, tmp_path)
    name, victim = begun_cell(process, scratch)
    os.kill(victim, signal.SIGKILL)
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, output

    folder = tmp_path / "lab"
    cells = make_cells(read_plan(folder), folder)
    (killed,) = [cell for cell in cells if cell.id == name]
    first, second = processes_of(killed)
    assert first == victim
    assert second != victim
    for cell in cells:
        # Every epoch is there once: the second attempt went on from where the first one was.
        assert epochs_of(cell) == list(range(1, 9))
        assert outcome(cell)["state"] == "done"
        assert "epoch 8/8" in log_file(cell).read_text()
        directory = RunDirectory(tmp_path / cell.path)
        assert directory.checkpoint().is_dir()
        assert not directory.trainer_state.exists()
        assert read_config(directory.config).train.out == Path("lab", "cells", cell.id)
        assert len(list(directory.evaluation("test").glob("predictions/*.png"))) == 4
    assert not any(scratch.iterdir())
    assert not list((folder / "cells").glob(".*.incoming"))
    values = json.loads((folder / "comparison.json").read_text())
    rows = values["groups"][0]["rows"]
    assert [(row["variant"], row["seeds"], row["missing"]) for row in rows] == [
        ("none", [0], []),
        ("celt", [0], []),
    ]

    before = {path: path.stat().st_mtime_ns for path in (folder / "cells").rglob("*")}
    code, output = run(words, tmp_path)
    assert code == 0, output
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").rglob("*")} == before


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_stopped_driver_goes_on_and_a_cell_that_fails_has_its_cause(command, tmp_path):
    words, scratch = command(8, ["none", "fam"]), tmp_path / "scratch"
    process = start(words, tmp_path)
    name, _ = begun_cell(process, scratch)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, output
    assert "the same command goes on from here" in output
    (history,) = scratch.glob("*/*/*/metrics.jsonl")
    trained = history.read_text().splitlines()
    assert len(trained) < 8
    assert RunDirectory(history.parent).trainer_state.is_file()

    code, output = run(words, tmp_path)
    assert code == 1, output
    folder = tmp_path / "lab"
    plain, failed = make_cells(read_plan(folder), folder)
    assert plain.id == name
    assert len(processes_of(plain)) == 2
    assert epochs_of(plain) == list(range(1, 9))
    history = RunDirectory(plain.path).history.with_suffix(".jsonl")
    assert history.read_text().splitlines()[: len(trained)] == trained
    assert "take architecture fpn or upernet" in outcome(failed)["cause"]
    assert "take architecture fpn or upernet" in output


def test_cluster_that_does_not_answer_is_one_sentence(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command(1, ["none"]), "--address", "127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("segloom: no Ray cluster answers at 127.0.0.1:9 (Connection refused)")
    assert error.count("\n") == 1
    assert main([*command(1, ["none"]), "--address", "ray://127.0.0.1:9"]) == 2
    assert "no Ray cluster answers at ray://127.0.0.1:9" in capsys.readouterr().err
    assert main([*command(1, ["none"]), "--address", "somewhere"]) == 2
    assert "auto, HOST:PORT or ray://HOST:PORT" in capsys.readouterr().err


def test_ray_that_is_not_installed_is_named(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(command(1, ["none"])) == 2
    assert "`pip install 'segloom[ray]'`" in capsys.readouterr().err


def test_cluster_that_is_lost_is_one_sentence(monkeypatch):
    fake = SimpleNamespace(
        is_initialized=lambda: True, exceptions=SimpleNamespace(RayError=KeyError)
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    with (
        pytest.raises(TrainingError, match=r"cluster was lost \(reset by peer\); .* goes on"),
        connection(None),
    ):
        raise ConnectionResetError("reset by peer")


def test_options_of_another_engine_are_refused(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def refusal(*words: str) -> str:
        assert main([*command(1, ["none"]), *words]) == 2
        return capsys.readouterr().err

    assert "--partition belongs to --engine slurm; leave it out" in refusal("--partition", "gpu")
    assert "--workers belongs to --engine local or slurm" in refusal("--workers", "2")
    assert "--scratch belongs to --engine ray" in refusal("--engine", "local")
    assert not (tmp_path / "lab").exists()


def cluster(*resources: dict[str, float]) -> SimpleNamespace:
    nodes = [{"Alive": True, "Resources": {"memory": 2**34, **one}} for one in resources]
    dead = {"Alive": False, "Resources": {"CPU": 99, "GPU": 99, "memory": 2**40}}
    return SimpleNamespace(nodes=lambda: [dead, *nodes])


def test_cell_takes_a_gpu_where_there_is_one():
    assert _resources(cluster({"CPU": 4}), EngineOptions()) == (1, 0, 0)
    both = cluster({"CPU": 4}, {"CPU": 2, "GPU": 8})
    assert _resources(both, EngineOptions()) == (1, 1, 0)
    assert _resources(both, EngineOptions(cpus=4, gpus=0, memory=2)) == (4, 0, 2**31)
    assert _resources(both, EngineOptions(gpus=0.5)) == (1, 0.5, 0)


@pytest.mark.parametrize("options", [{"cpus": 3}, {"gpus": 9}, {"memory": 17.0}])
def test_cell_that_fits_on_no_node_is_refused(options):
    nodes = cluster({"CPU": 4}, {"CPU": 2, "GPU": 8})
    with pytest.raises(ConfigError, match=r"no node of the Ray cluster .* lower --cpus, --gpus"):
        _resources(nodes, EngineOptions(**options))
