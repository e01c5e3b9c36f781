"""Parts of other packages and of single files; a broken one is a sentence that names it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from support.squares import write_squares

from segloom import plugins
from segloom.cli.main import main
from segloom.config import AugmentConfig
from segloom.data.planes import Planes
from segloom.data.readers import find_data_set
from segloom.data.transforms import JointTransform
from segloom.enhancements import enhancement_config, list_enhancements
from segloom.errors import ConfigError, UnknownNameError
from segloom.evaluation.measures import find_measure
from segloom.losses import build_loss, list_losses
from segloom.models import create_model, list_architectures
from segloom.plugins import FILES, load_plugin, plugin_words

CODE = """
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from segloom.data.source import DatasetSource
from segloom.evaluation.measures.labels import LabelMeasure
from segloom.enhancements import Enhancement, EnhancementConfig
from segloom.models.architectures import ARCHITECTURES


@dataclass(frozen=True, kw_only=True)
class GainConfig(EnhancementConfig):
    start: float = 1.0

    def build(self, shape):
        return Gain(self.start)


class Gain(Enhancement):
    def __init__(self, start):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(start))

    def correct(self, logits, signal):
        return logits * self.factor


class Double(nn.Module):
    def forward(self, logits, target):
        return 2 * nn.functional.cross_entropy(logits, target, ignore_index=255)


class Counted(LabelMeasure):
    name = "counted"


def darken(by=10):
    def change(image, mask, generator):
        return np.maximum(image, by) - by, mask
    return change


def nothing(config, split):
    return DatasetSource(())


PLUGINS = {
    "enhancements": {"gain": GainConfig},
    "losses": {"twice": Double},
    "measures": {"counted": Counted},
    "transforms": {"darken": darken},
    "datasets": {"nothing": nothing},
    "architectures": {"mynet": ARCHITECTURES["fpn"]},
}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FILES, "")
    path = tmp_path / "my parts.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("gone", "my_gone_module:Config", "segloom.enhancements")
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [point] if "enhancements" in group else []
    )


def test_every_kind_of_part_comes_from_a_file(file: Path) -> None:
    assert set(load_plugin(file)) == {
        "enhancement gain",
        "loss twice",
        "measure counted",
        "transform darken",
        "data set nothing",
        "architecture mynet",
    }
    assert os.environ[FILES] == str(file)
    assert plugin_words() == f" --plugin '{file}'"
    assert "gain" in list_enhancements()
    assert "mynet" in list_architectures()
    assert "twice" in list_losses()
    model = create_model("mynet", encoder_name="tu-test_resnet", enhancements="gain:start=2")
    assert model.enhancements["gain"].factor.item() == 2
    again = create_model(**model.spec)
    assert list(again.enhancements) == ["gain"]
    part = enhancement_config("gain")
    given = create_model("unet", encoder_name="tu-test_resnet", enhancements=part)
    assert list(given.enhancements) == ["gain"], "the class keeps the name of its plug-in"
    assert type(build_loss("twice").loss).__name__ == "Double"
    assert find_data_set("nothing").options is None
    assert find_measure("counted").name == "counted"


def test_a_transform_of_a_plugin_is_applied_last(file: Path) -> None:
    load_plugin(file)
    config = AugmentConfig(scale=(1, 1), flip=0, jitter=0, blur=0, extra=("darken:by=30",))
    planes = Planes(np.full((4, 5, 3), 100, np.uint8), np.zeros((4, 5), np.uint8))
    changed = JointTransform(config)(planes, np.random.default_rng(0))
    assert (changed.image == 70).all()
    with pytest.raises(UnknownNameError, match="unknown transform 'dark'"):
        JointTransform(config.model_copy(update={"extra": ("dark",)}))(
            planes, np.random.default_rng(0)
        )
    with pytest.raises(ConfigError, match="darken refuses its options"):
        JointTransform(config.model_copy(update={"extra": ("darken:to=3",)}))(
            planes, np.random.default_rng(0)
        )


def test_the_command_line_trains_and_measures_with_a_file(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_squares(tmp_path / "data", {"train": 2, "val": 2}, void_rows=0)
    words = f"--data.root {tmp_path / 'data'} --data.classes ground square --data.no-cache"
    words += " --model.encoder-name tu-test_resnet --model.encoder-weights none --epochs 1"
    words += " --train.precision fp32 --batch-size 2 --loss.class-weights none --crop 32 32"
    words += f" --enhancements gain --loss.terms twice 1 --out {tmp_path / 'run'}"
    assert main(["--plugin", str(file), "train", "folder", *words.split()]) == 0
    run = str(tmp_path / "run")
    assert main(["eval", run, f"--plugin={file}", "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["num_images"] == 2
    )
    assert main(["eval", run]) == 2, "a run loads no file by itself"
    assert "unknown enhancement 'gain'" in capsys.readouterr().err


def test_processes_that_are_started_know_the_file_too(file: Path) -> None:
    load_plugin(file)
    code = "from segloom import list_enhancements; print('gain' in list_enhancements())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import no_such_module", "cannot be loaded: ModuleNotFoundError: No module named"),
        ("1 +", "cannot be loaded: SyntaxError"),
        ("x = 1", "does not say what it brings; end it with a mapping"),
        ("PLUGINS = {'loss': {}}", "brings 'loss', but its PLUGINS may hold enhancements"),
    ],
)
def test_a_broken_file_is_a_sentence(
    file: Path, code: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = file.with_name(f"broken{abs(hash(code))}.py")
    other.write_text(code)
    assert main(["list", "losses", "--plugin", str(other)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(other) in line
    assert sentence in line


def test_a_missing_file_is_a_sentence(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "losses", "--plugin", "nowhere.py"]) == 2
    assert "nowhere.py; check --plugin" in capsys.readouterr().err


@pytest.mark.usefixtures("broken")
def test_a_broken_package_is_named_and_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"the package my_gone_module brings the enhancement"):
        enhancement_config("gone")
    assert main(["list", "enhancements"]) == 0
    listed = capsys.readouterr()
    assert "gone" not in listed.out.split()
    assert "afma" in listed.out.split()
    assert "correct, update or uninstall my_gone_module" in listed.err


def test_list_without_a_word_shows_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = [line.partition(":")[0] for line in lines]
    assert kinds[:5] == ["archs", "encoders", "enhancements", "losses", "recipes"]
    assert "segloom list encoders" in lines[1]
