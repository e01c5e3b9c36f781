"""A run that was stopped, by a signal or by a kill, ends as one that was not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from segloom.cli.main import main
from segloom.config import RunConfig
from segloom.config.load import dump_config
from segloom.errors import ConfigError
from segloom.training import TrainingStep, TrainingStopped, train

# Every part of the state: dropout, random views, the samples of an epoch, average, a moving rate,
# momentum of the optimiser.
DEMANDING = {
    "data__class_uniform": 0.5,
    "data__class_uniform_tile": 16,
    "model__options": {"decoder_dropout": 0.5},
    "train__epochs": 3,
    "train__ema": 0.9,
    "optim__schedule": "onecycle",
    "optim__clip": 1.0,
}


def signal_at(step: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send this process a signal during a training step, counted from 1."""
    forward, calls = TrainingStep.forward, []

    def patched(self: TrainingStep, *batch: torch.Tensor) -> dict[str, torch.Tensor]:
        calls.append(None)
        if len(calls) == step:
            os.kill(os.getpid(), number)
        return forward(self, *batch)

    monkeypatch.setattr(TrainingStep, "forward", patched)


def assert_same_run(one: Path, other: Path) -> None:
    for which in ("best", "last"):
        expected = load_file(one / "checkpoints" / which / "model.safetensors")
        actual = load_file(other / "checkpoints" / which / "model.safetensors")
        assert expected.keys() == actual.keys()
        assert all(torch.equal(expected[name], actual[name]) for name in expected), which
    raw = [
        torch.load(run / "checkpoints" / "trainer.ckpt", weights_only=True) for run in (one, other)
    ]
    assert all(
        torch.equal(raw[0]["state_dict"][name], raw[1]["state_dict"][name])
        for name in raw[0]["state_dict"]
    )
    assert history(one) == history(other)


def history(run: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.mark.parametrize(
    ("step", "number"),
    [(1, signal.SIGTERM), (6, signal.SIGINT), (8, signal.SIGTERM), (12, signal.SIGTERM)],
)
def test_a_signal_saves_at_the_next_step_and_the_resumed_run_is_bit_equal(
    step: int,
    number: int,
    tiny: Callable[..., RunConfig],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    unbroken: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "run" not in unbroken:
        unbroken["run"] = tmp_path_factory.mktemp("unbroken") / "run"
        train(tiny(**DEMANDING, train__out=unbroken["run"]))
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    signal_at(step, number, monkeypatch)
    if step == 12:  # the last step of all: there is nothing to stop any more
        train(tiny(**DEMANDING))
    else:
        with pytest.raises(TrainingStopped, match=r"go on with `segloom train .*--train.resume`"):
            train(tiny(**DEMANDING))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    monkeypatch.undo()
    result = train(tiny(**DEMANDING, train__resume=True))
    assert result.was_finished == (step == 12)
    assert_same_run(unbroken["run"], tmp_path / "run")


def test_on_a_terminal_epochs_keep_their_lines_and_the_sentence_is_the_last(
    tiny: Callable[..., RunConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_config(tiny(train__epochs=3)))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    signal_at(6, signal.SIGINT, monkeypatch)
    assert main(["train", str(path)]) == 130
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert any(line.startswith("epoch 2/3 \u2501") for line in lines)  # the bar was there
    assert any(line.startswith("epoch 1/3  loss ") for line in lines)
    assert lines[-1].startswith("segloom: stopped; go on with `segloom train ")


def test_the_state_holds_tensors_and_plain_values_only(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    train(tiny(train__epochs=1, train__ema=0.5))
    state = torch.load(tmp_path / "run/checkpoints/trainer.ckpt", weights_only=True)
    assert state["callbacks"]["Saver"]["position"] == [1, 0]


def test_a_finished_run_says_so_and_more_epochs_go_on(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    first = train(tiny(train__epochs=1))
    assert (first.epochs, first.was_finished) == (1, False)
    again = train(tiny(train__epochs=1, train__resume=True))
    assert (again.epochs, again.was_finished, again.miou) == (1, True, first.miou)
    more = train(tiny(train__epochs=2, train__resume=True))
    assert (more.epochs, more.was_finished) == (2, False)
    assert [row["epoch"] for row in history(tmp_path / "run")] == [1, 2]
    command = (tmp_path / "run" / "command.txt").read_text().splitlines()
    assert len(command) == 2


def test_other_options_are_not_resumed(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(dump_config(tiny()))
    with pytest.raises(ConfigError, match=r"other options: optim\.lr \(was 0\.003, is 0\.1\)"):
        train(tiny(optim__lr=0.1, train__resume=True))


def test_a_damaged_state_is_named(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text(dump_config(tiny()))
    (tmp_path / "run" / "checkpoints" / "trainer.ckpt").write_bytes(b"half a file")
    with pytest.raises(ConfigError, match=r"trainer\.ckpt cannot be read .* --train\.overwrite"):
        train(tiny(train__resume=True))


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from segloom.config.load import read_config
from segloom.training import TrainingStep, train
calls, forward = [], TrainingStep.forward
def patched(self, *batch):
    calls.append(None)
    if len(calls) == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, *batch)
TrainingStep.forward = patched
train(read_config(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_killed_run_resumes_from_the_epoch_before_and_is_bit_equal(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(tiny(**DEMANDING)))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(config)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(history(tmp_path / "run")) == 1
    train(tiny(**DEMANDING, train__resume=True))
    train(tiny(**DEMANDING, train__out=tmp_path / "unbroken"))
    assert_same_run(tmp_path / "unbroken", tmp_path / "run")


@pytest.mark.slow
def test_the_command_stops_with_130_and_says_how_to_resume(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(tiny(train__epochs=200)))
    command = [sys.executable, "-m", "segloom", "train"]
    with subprocess.Popen([*command, str(config)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 2/200"):
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert f"go on with `segloom train {tmp_path / 'run/config.yaml'} --train.resume`" in rest
    resumed = subprocess.run(
        [*command, str(tmp_path / "run/config.yaml"), "--train.resume", "--train.epochs", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "is trained: " in resumed.stdout or "was finished already" in resumed.stdout
