"""The checks for other packages find what they are for, and the template passes them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from segloom.cli.main import main
from segloom.enhancements import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.testing import check_enhancement


@dataclass(frozen=True, kw_only=True)
class FaultyConfig(EnhancementConfig):
    fault: str = ""

    def build(self, shape):
        if self.fault == "misfit":
            raise ConfigError("it fits nothing.")
        return Faulty(self.fault)


class Faulty(Enhancement):
    def __init__(self, fault):
        super().__init__()
        self.fault, self.seen = fault, None
        self.factor = nn.Parameter(torch.ones(1))

    def correct(self, logits, signal):
        match self.fault:
            case "size":
                return self.factor * logits[:, 1:]
            case "silent":
                return logits
            case "nan":
                return logits * self.factor / 0
            case "break":
                return logits * self.factor * (2 if float(logits.detach().mean()) > 1e9 else 1)
            case _:
                return logits * self.factor


def test_what_is_in_order_passes() -> None:
    fits = check_enhancement(FaultyConfig(), architectures=["unet", "fpn"])
    assert fits == {"unet": "", "fpn": ""}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("size", r"with fpn it does not keep the size and learn"),
        ("silent", r"no gradient reaches \['enhancements.*factor'\]"),
        ("nan", "the loss is"),
        ("break", "with fpn it does not compile"),
        ("misfit", "it fits no architecture: .*it fits nothing"),
    ],
)
def test_a_fault_is_found_and_said_with_the_architecture(fault: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_enhancement(FaultyConfig(fault=fault), architectures=["fpn"])


def test_the_template_of_a_package_passes_its_own_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "enhancement", "my_gate"]) == 0
    folder = tmp_path / "segloom-my-gate"
    assert f"next: cd {folder.name} && pip install" in capsys.readouterr().out
    file = folder / "segloom_my_gate.py"
    environment = {**os.environ, "SEGLOOM_PLUGINS": str(file)}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert main(["new", "enhancement", "my_gate"]) == 2
    assert "is there already; choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("My-Gate", "cannot be the name of a Python module"), ("afma", "there is an enhancement")],
)
def test_a_name_that_cannot_be_is_refused(
    name: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "enhancement", name, "--out", str(tmp_path / "new")]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
