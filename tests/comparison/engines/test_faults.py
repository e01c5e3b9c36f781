"""Faults: whatever is killed, full or broken, nothing finished is lost and causes are named."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from segloom.comparison.cells.cell import OUTCOME, outcome, run_cell
from segloom.comparison.cells.plan import make_cells, open_plan, read_plan
from segloom.config.comparison import ComparisonPlan
from segloom.config.load import dump_config

NUM_KILLS = 10
NUM_EPOCHS = 5


def driver(folder: Path, plan_file: Path, workers: int = 1) -> subprocess.Popen[bytes]:
    words = ["compare", str(plan_file), "--out", str(folder), "--workers", str(workers)]
    return subprocess.Popen(
        [sys.executable, "-m", "segloom", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Processes that a driver started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process.pid:
            found.append(int(entry.parent.name))
    return found


@pytest.fixture
def plan_file(recipe, tmp_path):
    """A plan of two sets and one seed, whose cells take a few seconds, as a user's file."""
    file = tmp_path / "plan.yaml"
    values = yaml.safe_load(dump_config(recipe))
    values["train"]["epochs"] = NUM_EPOCHS
    file.write_text(
        yaml.safe_dump({"enhancements": ["none", "celt"], "recipes": {"folder": values}})
    )
    return file


def finished_files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.glob(f"cells/*/{OUTCOME}")}


def wait_for(condition, process, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


def epochs_begun(folder: Path) -> int:
    files = folder.glob("cells/*/metrics.jsonl")
    return sum(len(file.read_text().splitlines()) for file in files)


def check_complete(folder: Path) -> None:
    cells = make_cells(read_plan(folder), folder)
    assert [outcome(cell)["state"] for cell in cells] == ["done", "done"]
    for cell in cells:
        lines = (cell.path / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, NUM_EPOCHS + 1))
    (group,) = json.loads((folder / "comparison.json").read_text())["groups"]
    assert [row["seeds"] for row in group["rows"]] == [[0], [0]]


def test_killed_worker_is_replaced_and_the_table_completes(plan_file, tmp_path):
    folder = tmp_path / "lab"
    process = driver(folder, plan_file)
    wait_for(lambda: epochs_begun(folder) >= 2, process)
    (worker,) = workers_of(process)
    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    check_complete(folder)


@pytest.mark.slow
def test_stopped_driver_says_so_and_the_same_command_goes_on(plan_file, tmp_path):
    folder = tmp_path / "lab"
    process = driver(folder, plan_file)
    wait_for(lambda: epochs_begun(folder) >= 2, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"the same command goes on from here" in errors
    begun = epochs_begun(folder)
    assert 2 <= begun < 2 * NUM_EPOCHS
    process = driver(folder, plan_file)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    check_complete(folder)


@pytest.mark.slow
def test_drivers_and_workers_killed_at_random_lose_nothing(plan_file, tmp_path):
    folder, rng = tmp_path / "lab", random.Random(0)
    kept: dict[Path, bytes] = {}
    for kill in range(NUM_KILLS):
        process = driver(folder, plan_file, workers=2)
        time.sleep(rng.uniform(1, 12))
        victims = [process.pid] if kill % 2 else workers_of(process)[:1]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        time.sleep(rng.uniform(0, 2))
        process.kill()
        process.communicate()
        now = finished_files(folder)
        assert kept.items() <= now.items()
        kept = now
    time.sleep(2)  # the workers of the last driver see that it is gone
    process = driver(folder, plan_file, workers=2)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    check_complete(folder)
    assert kept.items() <= finished_files(folder).items()


@pytest.mark.slow
def test_cell_whose_process_dies_every_time_fails_with_a_cause(recipe, tmp_path, monkeypatch):
    """An enhancement whose code kills the process, as the system does when memory runs out."""
    from segloom.comparison.engines.local import run_workers

    package = tmp_path / "killer"
    package.mkdir()
    (package / "sitecustomize.py").write_text(
        "import os, sys\n"
        "import segloom.enhancements.celt as celt\n"
        "def build(self, shape):\n"
        "    os.kill(os.getpid(), 9)\n"
        "celt.CeltConfig.build = build\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    folder = tmp_path / "lab"
    plan = ComparisonPlan(enhancements=("celt", "none"), recipes={"squares": recipe})
    open_plan(plan, folder)
    cells = make_cells(plan, folder)
    run_workers(folder, cells, 1, on_change=lambda: None)
    celt, none = (outcome(cell) for cell in cells)
    assert none["state"] == "done"
    assert celt["state"] == "failed"
    assert (
        "killed by signal 9 (SIGKILL), as the system does when memory runs out, 3 times"
        in (celt["cause"])
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"
        ),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_lack_of_memory_is_named(plan, tmp_path, monkeypatch, error):
    import segloom.training

    def fail(*args, **options):
        raise error

    monkeypatch.setattr(segloom.training, "train", fail)
    (cell, _) = make_cells(plan(), tmp_path / "lab")
    assert run_cell(cell)["cause"].startswith("out of memory; lower data.batch_size")
    assert outcome(cell)["state"] == "failed"


@pytest.mark.slow
def test_full_disk_stops_with_one_sentence_and_goes_on_when_there_is_room(plan_file, tmp_path):
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk needs the right to mount one")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        folder = disk / "lab"
        process = driver(folder, plan_file)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 2, errors.decode()
        assert b"no space left on the disk" in errors
        assert b"Traceback" not in errors
        remount = ["mount", "-o", "remount,size=200m", str(disk)]
        subprocess.run(remount, check=True, capture_output=True)
        process = driver(folder, plan_file)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
        check_complete(folder)
    finally:
        subprocess.run(["umount", str(disk)], check=False, capture_output=True)


def test_unknown_error_becomes_a_cause_with_its_traceback_in_the_log(
    plan, tmp_path, monkeypatch, capsys
):
    import segloom.training

    def fail(*args, **options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(segloom.training, "train", fail)
    (cell, _) = make_cells(plan(), tmp_path / "lab")
    assert run_cell(cell) == {"state": "failed", "cause": "ZeroDivisionError: division by zero"}
    assert "Traceback" in capsys.readouterr().err
