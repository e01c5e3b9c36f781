"""``torchrun -m segloom train``: the processes that it starts train as one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from segloom.config import RunConfig
from segloom.config.load import dump_config, read_config
from segloom.errors import ConfigError
from segloom.training import train
from segloom.training.distributed import group

PLACE = {
    "RANK": "1",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "1",
}

# The program itself, which also notes who lists the centroids of a label map.
PROGRAM = """
import os, sys
from pathlib import Path
from segloom.cli.main import main
from segloom.data import class_uniform

find = class_uniform.tile_centroids
def noted(*arguments):
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(os.environ["RANK"])
    return find(*arguments)
class_uniform.tile_centroids = noted
sys.exit(main(sys.argv[1:]))
"""


def torchrun(program: list[str], **environment: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    # As outside of this test: nothing that an outer torchrun may have left.
    clean = {name: value for name, value in os.environ.items() if name not in PLACE}
    return subprocess.run(
        [*command, *program],
        env={**clean, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_torchrun_trains_as_one_process_and_one_of_its_processes_speaks(
    comparable: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config, script = tmp_path / "config.yaml", tmp_path / "program.py"
    config.write_text(dump_config(comparable(train__epochs=1, train__out=tmp_path / "two")))
    script.write_text(PROGRAM)
    notes = tmp_path / "notes.txt"
    done = torchrun([str(script), "train", str(config)], NOTES=str(notes))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is trained: 1 epochs") == 1
    assert done.stderr.count("epoch 1/1") == 1
    assert notes.read_text() == "0" * 9  # one process lists the nine images
    run = tmp_path / "two"
    assert read_config(run / "config.yaml").train.devices == 2
    assert len((run / "log.txt").read_text().splitlines()) == 2
    assert len((run / "command.txt").read_text().splitlines()) == 1
    train(comparable(train__epochs=1, train__out=tmp_path / "one"))
    weights = [
        load_file(tmp_path / name / "checkpoints/last/model.safetensors") for name in ("one", "two")
    ]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-5, atol=2e-6)
    # A mistake is said in a sentence, and the run is left alone.
    again = torchrun(["-m", "segloom", "train", str(config)])
    assert again.returncode != 0
    assert again.stderr.count("is not empty; add --train.resume") == 1
    assert "segloom/training" not in again.stderr  # no traceback
    resumed = torchrun(["-m", "segloom", "train", str(run / "config.yaml"), "--train.resume"])
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("was finished already: 1 epochs") == 1


def place(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    for name, value in (PLACE | changes).items():
        monkeypatch.setenv(name, value)


def test_without_torchrun_nothing_is_joined(
    tiny: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PLACE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "3")  # as some clusters set it: not enough to be torchrun's
    config = tiny(train__devices=2)
    assert group.torchrun_size() is None
    assert group.join_torchrun(config) is config
    assert group.local_size(2) == 2
    assert group.is_first_process()
    assert group.process_rank() == 0


def test_the_number_of_devices_follows_torchrun_over_all_machines(
    tiny: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    place(monkeypatch)
    assert group.join_torchrun(tiny()).train.devices == 4
    config = tiny(train__devices=4)
    assert group.join_torchrun(config) is config
    assert group.local_size(4) == 2
    assert not group.is_first_process()


@pytest.mark.parametrize("size", ["4", "1"])
def test_another_number_of_devices_than_torchruns_is_refused(
    size: str, tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(monkeypatch, WORLD_SIZE=size)
    with pytest.raises(ConfigError, match=rf"torchrun started {size} process.*devices is 3; give"):
        train(tiny(train__devices=3))
    assert not (tmp_path / "run").exists()
