"""Options are read in every usual spelling, and what is out of range is said in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from tyro.conf import Positional

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
        (["--optim.lr", "-1"], r"optim\.lr is -1\.0, but must be greater than 0"),
        (["--train.epochs", "-1"], r"train\.epochs is -1, but must be greater than or equal to 0"),
        (
            ["--data.augment.flip", "2"],
            r"data\.augment\.flip is 2\.0, but must be less than",
        ),
    ],
)
def test_a_value_out_of_range_is_one_sentence(words, message, capsys):
    with pytest.raises(ConfigError, match=f"the command line: {message}"):
        parse(RunConfig, words, verb="train")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("word", ["none", "None", ""])
def test_no_weights_may_be_typed_in_any_way(word):
    default = RunConfig.model_validate({"model": {"encoder_weights": "pypi"}})
    words = ["--model.encoder-weights", word]
    assert parse(RunConfig, words, verb="train", default=default).model.encoder_weights is None


@dataclass
class Options:
    run: Positional[Path]
    out: Path
    size: tuple[int, int] | None = None
    split: Literal["train", "val"] = "val"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("x --out y --splitt val", "unknown option '--splitt': did you mean '--split'?"),
        ("x --out y --wxyz", "unknown option '--wxyz'; `segloom eval --help` tells more."),
        ("x --outt y", "unknown option '--outt': did you mean '--out'?"),
        ("x --out y z", "too many words: z; `segloom eval --help` tells more."),
        ("", "`segloom eval` needs PATH and --out PATH; `segloom eval --help` tells more."),
        (
            "x --out y --split all",
            "invalid choice 'all' for argument '--split'. Expected one of ('train', 'val'); "
            "`segloom eval --help` tells more.",
        ),
        (
            "x --out y --size a b",
            "Error parsing --size: no type matching {None}|{INT INT} could be instantiated from "
            "['a', 'b']; `segloom eval --help` tells more.",
        ),
    ],
)
def test_a_command_that_cannot_be_read_is_one_sentence(words, message, capsys):
    with pytest.raises(ConfigError) as error:
        parse(Options, words.split(), verb="eval")
    assert str(error.value) == message
    assert capsys.readouterr().err == ""


def test_help_is_no_mistake(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(Options, ["--help"], verb="eval")
    assert stop.value.code == 0
    assert "--split" in capsys.readouterr().out
