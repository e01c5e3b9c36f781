"""Options are read in every usual spelling, and what is out of range is said in one sentence."""

from __future__ import annotations

import pytest

from segloom.cli.options import flags, parse
from segloom.config import RunConfig
from segloom.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data.root=a=b", "x.png"], ["--data.root", "a=b", "x.png"]),
        (["data.cache=False"], ["--data.no-cache"]),
        (["--json", "false"], ["--no-json"]),
        (["--json", "True"], ["--json"]),
        (["--data.cache", "False"], ["--data.no-cache"]),
        (["--data.cache", "False", "data.root=DIR"], ["--data.no-cache", "--data.root", "DIR"]),
        (["--data.classes", "False", "True"], ["--data.classes", "False", "True"]),
        (["x=1.png", "frame.v=2.png"], ["x=1.png", "frame.v=2.png"]),
    ],
)
def test_spellings_that_users_bring_along(words, expected):
    assert flags(words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optim.lr", "-1"], r"optim\.lr: Input should be greater than 0 \(got -1\.0\)"),
        (["--train.epochs", "0"], r"train\.epochs: Input should be greater than or equal to 1"),
        (["--data.augment.flip", "2"], r"data\.augment\.flip: .* less than or equal to 1"),
    ],
)
def test_a_value_out_of_range_is_one_sentence(words, message, capsys):
    with pytest.raises(ConfigError, match=f"the command line: {message}"):
        parse(RunConfig, words, verb="train")
    assert capsys.readouterr().err == ""


def test_an_unknown_flag_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(RunConfig, ["--optim.lrr", "1"], verb="train")
    assert stop.value.code == 2
    assert "--optim.lr" in capsys.readouterr().err
