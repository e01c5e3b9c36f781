"""``segloom train`` as it is typed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

import segloom.training
from segloom.cli import train as command
from segloom.cli.main import main
from segloom.config import RunConfig
from segloom.config.load import dump_config, list_recipes
from segloom.training import RunResult, TrainingStopped
from segloom.training.callbacks.progress import format_seconds


def test_print_config_shows_the_recipe_with_the_options_and_trains_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "camvid", "--data.root", "here", "--model.architecture", "fpn"]
    assert main([*words, "--model.enhancements", "afma", "--print-config"]) == 0
    config = RunConfig.model_validate(yaml.safe_load(capsys.readouterr().out))
    assert config.data.name == "camvid"
    assert config.data.root == Path("here")
    assert config.model.architecture == "fpn"
    assert config.model.enhancements == ("afma",)
    assert config.train.out == Path("runs/camvid-fpn-resnet18-afma")
    assert list(tmp_path.iterdir()) == []


def test_no_recipe_and_an_unknown_one_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    printed = capsys.readouterr()
    assert f"one of {', '.join(list_recipes())}" in printed.out
    assert "name a recipe" in printed.err
    assert main(["train", "camvit"]) == 2
    assert "unknown recipe 'camvit': did you mean 'camvid'?" in capsys.readouterr().err


def test_a_whole_training_from_the_command_line(
    tiny: Callable[..., RunConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "squares.yaml"
    file.write_text(dump_config(tiny(train__epochs=9)))
    assert main(["train", str(file), "--train.epochs", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["path"] == str(tmp_path / "run")
    assert result["epochs"] == 1
    assert main(["train", str(file), "--train.epochs", "1"]) == 2
    assert "is not empty; add --train.resume" in capsys.readouterr().err
    again = ["train", str(tmp_path / "run/config.yaml"), "--train.resume"]
    assert main(again) == 0
    assert "was finished already: 1 epochs" in capsys.readouterr().out


@pytest.mark.parametrize("is_stopped", [True, False])
def test_the_exit_code_tells_a_stopped_training(
    is_stopped: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def fake(config: RunConfig, *, show_progress: bool) -> RunResult:
        assert show_progress
        if is_stopped:
            raise TrainingStopped(tmp_path)
        return RunResult(tmp_path, 3, None, None, 1.0)

    monkeypatch.setattr(segloom.training, "train", fake, raising=False)
    assert command.run(["demo"]) == (130 if is_stopped else 0)
    printed = capsys.readouterr()
    if is_stopped:
        assert (
            f"go on with `segloom train {tmp_path / 'config.yaml'} --train.resume`" in printed.err
        )
    else:
        assert "is trained: 3 epochs, validation mIoU -" in printed.out


def test_a_terminal_gets_a_bar_with_loss_score_and_time_left(
    tiny: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    from segloom.training import train
    from segloom.training.callbacks import progress

    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    train(tiny(), show_progress=True)
    shown = text.getvalue()
    assert "epoch 2/2" in shown
    assert "loss " in shown
    assert "mIoU 0." in shown
    assert "(best 0." in shown
    assert "0:00 left" in shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3599.6, "1:00:00"), (7384, "2:03:04")]
)
def test_durations_are_written_as_clocks_do(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_stages_are_left_out_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--train.stages", "none"], ["train.stages=[]"]):
        assert main(["train", "dlse", *words, "--train.epochs", "3", "--print-config"]) == 0
        config = RunConfig.model_validate(yaml.safe_load(capsys.readouterr().out))
        assert config.train.stages == ()
        assert config.train.epochs == 3
    assert main(["train", "dlse", "--train.stages", "2", "--print-config"]) == 2
    assert "--train.stages takes `none`" in capsys.readouterr().err


def test_an_option_without_effect_is_said(
    tiny: Callable[..., RunConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "squares.yaml"
    file.write_text(dump_config(tiny(train__epochs=1)))
    assert main(["train", str(file), "--optim.name", "adamw", "--optim.momentum", "0.8"]) == 0
    note = "note: optim.momentum is 0.8 but has no effect with optim.name adamw."
    assert note in capsys.readouterr().err.splitlines()
