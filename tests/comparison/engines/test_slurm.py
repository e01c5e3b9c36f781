"""Cells as submitit's jobs; there is no Slurm here, so they are processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from segloom.comparison import compare
from segloom.comparison.cells.cell import attempts_file, log_file, outcome
from segloom.comparison.cells.plan import Cell, make_cells
from segloom.comparison.engines.slurm import _executor
from segloom.config.engine import EngineOptions
from segloom.errors import ConfigError
from segloom.run_directory import RunDirectory

LOCAL = EngineOptions(cluster="local")
WAIT_SECONDS = 600


def processes_of(cell: Cell) -> list[int]:
    return [json.loads(line)["process"] for line in attempts_file(cell).read_text().splitlines()]


def epochs_of(cell: Cell) -> list[int]:
    history = RunDirectory(cell.path).history.with_suffix(".jsonl")
    if not history.is_file():
        return []
    return [json.loads(line)["epoch"] for line in history.read_text().splitlines()]


def signal_in_the_middle(cell: Cell, number: int) -> threading.Thread:
    """Send a signal to the job of a cell after its second epoch."""

    def send() -> None:
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end and len(epochs_of(cell)) < 2:
            time.sleep(0.02)
        os.kill(processes_of(cell)[-1], number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_job_that_is_killed_is_submitted_again_and_goes_on(plan, recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train = recipe.train.model_copy(update={"epochs": 8})
    both = plan(
        enhancements=("none", "fam"),
        recipes={"squares": recipe.model_copy(update={"train": train})},
    )
    folder = tmp_path / "lab"
    plain, failed = make_cells(both, folder)
    thread = signal_in_the_middle(plain, signal.SIGKILL)
    result = compare(both, folder, engine="slurm", options=LOCAL)
    thread.join()
    assert outcome(plain)["state"] == "done"
    first, second = processes_of(plain)
    assert first != second
    assert epochs_of(plain) == list(range(1, 9))
    assert "epoch 8/8" in log_file(plain).read_text()
    assert "take architecture fpn or upernet" in outcome(failed)["cause"]
    assert len(processes_of(failed)) == 1
    none, fam = result.values["groups"][0]["rows"]
    assert none["seeds"] == [0]
    assert fam["missing"][0]["state"] == "failed"

    # Done cells need no job.
    monkeypatch.setitem(sys.modules, "submitit", None)
    only = both.model_copy(update={"enhancements": ("none",)})
    before = {path: path.stat().st_mtime_ns for path in plain.path.rglob("*")}
    compare(only, folder, engine="slurm", options=LOCAL)
    assert {path: path.stat().st_mtime_ns for path in plain.path.rglob("*")} == before


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_job_whose_time_is_up_saves_its_step_and_is_queued_again(
    plan, recipe, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train = recipe.train.model_copy(update={"epochs": 8})
    one = plan(
        enhancements=("none",), recipes={"squares": recipe.model_copy(update={"train": train})}
    )
    folder = tmp_path / "lab"
    (cell,) = make_cells(one, folder)
    thread = signal_in_the_middle(cell, signal.SIGUSR2)  # what Slurm sends before it ends a job
    compare(one, folder, engine="slurm", options=LOCAL)
    thread.join()
    assert outcome(cell)["state"] == "done"
    assert len(processes_of(cell)) == 2
    assert epochs_of(cell) == list(range(1, 9))
    # One job did it: submitit itself began it again.
    assert len(list((folder / "slurm").glob("*_submitted.pkl"))) == 1


def test_options_reach_slurm(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text("#!/bin/sh\n")
    (programs / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    options = EngineOptions(cpus=4, gpus=1, memory=16, partition="gpu", hours=1.5)
    executor = _executor(tmp_path / "lab", options, 3)
    text = executor._executor._make_submission_file_text("true", "0")
    assert {
        "#SBATCH --partition=gpu",
        "#SBATCH --time=90",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --mem=16GB",
    } <= set(text.splitlines())
    assert executor._executor.parameters["array_parallelism"] == 3


def test_job_that_slurm_refuses_is_one_sentence(plan, tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in (("srun", ""), ("sbatch", "echo 'invalid partition: gpu' >&2\nexit 1\n")):
        (programs / name).write_text(f"#!/bin/sh\n{body}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ConfigError, match=r"(?s)Slurm does not take.*invalid partition.*--hours"):
        compare(plan(), tmp_path / "lab", engine="slurm", options=EngineOptions(partition="gpu"))


def test_machine_without_slurm_or_submitit_is_told(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no Slurm on this machine .*--cluster local"):
        compare(plan(), tmp_path / "lab", engine="slurm")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match=r"pip install 'segloom\[slurm\]'"):
        compare(plan(), tmp_path / "lab", engine="slurm")


def test_part_of_a_gpu_is_refused(plan, tmp_path):
    with pytest.raises(ConfigError, match=r"--gpus 0\.5: Slurm gives whole GPUs"):
        compare(plan(), tmp_path / "lab", engine="slurm", options=EngineOptions(gpus=0.5))
    assert not Path(tmp_path / "lab").exists()
