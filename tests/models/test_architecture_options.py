"""Every option of every network of ours refuses what it does not take, in a sentence."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from typing import Any

import pytest

from segloom.cli.main import main
from segloom.errors import ConfigError
from segloom.models import create_model
from segloom.models.architectures import ARCHITECTURES, OWNED_ARGUMENTS

OURS = [architecture for architecture in ARCHITECTURES.values() if architecture.builder]

WRONG = [
    (
        "pyramid_channels",
        "must be a whole number of {least} or more, not ",
        (0, -8, True, 8.0, "8", None, [8]),
    ),
    ("align", "must be true or false, not ", ("nope", 1, None)),
    ("dense", "must be true or false, not ", ("perhaps", 0)),
    ("dilate", "must be true, false or null, not ", ("no", 1)),
    ("context", "must be sfnet or sum, not ", ("spp", "fenet", None, True)),
    ("extractor", "must be highpass, lowpass or fixed, not ", ("lowpas", "HighPass", False)),
    ("edge_channels", "must be a whole number of 0 or more or null, not ", (-1, 1.0, False, "1")),
    ("output_stride", "must be a whole number, not ", (16.0, 8.0)),
    ("freeze", "must be true or false, not ", ("yes", 1)),
    ("num_queries", "must be a whole number of 1 or more, not ", (0, 8.0, "8")),
    ("num_blocks", "must be a whole number of 1 or more or null, not ", (0, True, "3")),
]
FORMS = {"dlse": "corrected or published", "linknetpaper": "paper or blog"}


def options_of(architecture) -> set[str]:
    module, _, name = architecture.builder.partition(":")
    build = getattr(import_module(module), name)
    return set(inspect.signature(build).parameters) - set(OWNED_ARGUMENTS)


def wrong_values():
    for architecture in OURS:
        name, taken = architecture.name, options_of(architecture)
        for option, message, values in WRONG:
            least = 1 if name == "fenet" else 2
            for value in values if option in taken else ():
                yield name, option, value, message.format(least=least)
        for value in ("papr", None) if "form" in taken else ():
            yield name, "form", value, f"must be {FORMS[name]}, not "
    yield "sfnet", "pyramid_channels", 1, "must be a whole number of 2 or more, not "
    yield "sfnetlite", "pyramid_channels", 1, "must be a whole number of 2 or more, not "


@pytest.mark.parametrize(("architecture", "option", "value", "message"), list(wrong_values()))
def test_a_wrong_value_is_refused(architecture: str, option: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_model(architecture, encoder_name="resnet18", **{option: value})
    assert str(caught.value) == f"{architecture}: {option} {message}{value!r}."


def test_every_option_is_tried() -> None:
    tried = {(architecture, option) for architecture, option, *_ in wrong_values()}
    assert tried == {(a.name, option) for a in OURS for option in options_of(a)}


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("sfnet", {"pyramid_channels": 2, "align": True, "context": "sfnet", "dilate": None}),
        ("sfnet", {"pyramid_channels": 3, "align": False, "context": "sum", "dilate": False}),
        ("sfnetlite", {"pyramid_channels": 2, "context": "sum", "dilate": True}),
        ("fenet", {"pyramid_channels": 1, "dense": True, "extractor": "lowpass"}),
        ("fenet", {"pyramid_channels": 2, "dense": False, "extractor": "fixed", "dilate": False}),
        ("dlse", {"form": "corrected", "edge_channels": 0, "in_channels": 4}),
        ("dlse", {"edge_channels": 1, "enhancements": "hed:source=file"}),
        ("dlse", {"edge_channels": None, "in_channels": 5}),
        ("linknetpaper", {"form": "paper", "output_stride": 16}),
        ("linknetpaper", {"form": "blog"}),
    ],
)
def test_what_a_network_takes_is_built(architecture: str, options: dict[str, Any]) -> None:
    model = create_model(architecture, encoder_name="resnet18", classes=2, **options)
    assert json.loads(json.dumps(model.spec)) == model.spec


def test_the_command_refuses_before_it_trains(cityscapes_tree, tmp_path, capsys) -> None:
    root = cityscapes_tree(tmp_path / "data", {"train": ("aachen",), "val": ("bonn",)})
    words = ["train", "fenet", "--data.root", str(root), "--train.out", str(tmp_path / "run")]
    words += ["--train.epochs", "1", "--data.crop", "32", "32", "--data.batch-size", "2"]
    words += ["--model.options", "pyramid_channels", "8", "extractor", "lowpas"]
    assert main(words) == 2
    errors = capsys.readouterr().err
    assert "fenet: extractor must be highpass, lowpass or fixed, not 'lowpas'." in errors
