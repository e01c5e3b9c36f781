"""The grammar of a search."""

from __future__ import annotations

import pytest

from segloom.config import RunConfig
from segloom.config.tuning import Choices, Span, TuningPlan, read_axes, with_values
from segloom.errors import ConfigError

BASE = RunConfig()


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("optim.lr=1e-4..1e-2:log", Span("optim.lr", 1e-4, 1e-2, True, False)),
        ("--optim.encoder-lr=.5..2.", Span("optim.encoder_lr", 0.5, 2.0, False, False)),
        # Whole ends on an option that takes any number are a range of numbers.
        ("optim.weight_decay=0..1", Span("optim.weight_decay", 0.0, 1.0, False, False)),
        ("train.epochs=2..20", Span("train.epochs", 2, 20, False, True)),
        ("data.batch_size=1..64:log", Span("data.batch_size", 1, 64, True, True)),
        ("loss.terms.dice=0..1", Span("loss.terms.dice", 0.0, 1.0, False, False)),
        ("model.options.depth=2..5", Span("model.options.depth", 2, 5, False, True)),
        ("data.options.depth=2..5", Span("data.options.depth", 2, 5, False, True)),
        ("model.options.rate=0.5..2", Span("model.options.rate", 0.5, 2.0, False, False)),
        ("data.batch_size=4, 8,16", Choices("data.batch_size", {"4": 4, "8": 8, "16": 16})),
        ("optim.lr=1e-4,1e-3", Choices("optim.lr", {"1e-4": 1e-4, "1e-3": 1e-3})),
        ("optim.clip=None,1", Choices("optim.clip", {"None": None, "1": 1})),
        # Here none is a name, not nothing.
        (
            "loss.class_weights=none,log",
            Choices("loss.class_weights", {"none": "none", "log": "log"}),
        ),
        (
            "model.encoder_weights=none,pypi",
            Choices("model.encoder_weights", {"none": None, "pypi": "pypi"}),
        ),
        (
            "train.channels_last=true,false",
            Choices("train.channels_last", {"true": True, "false": False}),
        ),
        (
            "data.crop=[240,320],[64,64]",
            Choices("data.crop", {"[240,320]": [240, 320], "[64,64]": [64, 64]}),
        ),
        (
            "model.enhancements=none,afma,afma:level=2,patch=5+celt,celt",
            Choices(
                "model.enhancements",
                {
                    "none": [],
                    "afma": ["afma"],
                    "afma:level=2,patch=5+celt": ["afma:level=2,patch=5", "celt"],
                    "celt": ["celt"],
                },
            ),
        ),
    ],
)
def test_texts_become_axes(text, axis):
    (found,) = read_axes([text], BASE)
    assert found == axis
    if isinstance(found, Span):
        assert {type(found.low), type(found.high)} == {int if axis.is_integer else float}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim.lr", "give its values"),
        ("optim.lr=", "give its values"),
        ("optim.rl=1..2", "unknown option 'optim.rl': did you mean 'optim.lr'?"),
        ("optim=1..2", "optim is a section"),
        ("optim.lr.x=1..2", "unknown option 'optim.lr.x'"),
        ("optim.lr=1e-2..1e-4", "a range goes from low to high, not from 0.01 to 0.0001"),
        ("optim.lr=0..1", "optim.lr is 0.0, but must be greater than 0"),
        ("optim.weight_decay=0..1:log", ":log needs a range above 0"),
        ("optim.name=1..2", "optim.name is no number"),
        ("data.batch_size=1..2.5", "data.batch_size takes whole numbers"),
        ("data.batch_size=4,-1", "data.batch_size is -1, but must be greater than or equal to 0"),
        ("data.batch_size=4,eight", "data.batch_size is 'eight', but must be a valid integer"),
        ("data.batch_size=4", "two or more choices"),
        ("data.batch_size=4,,8", "two or more choices"),
        ("optim.lr=1e-4..1e-2:lin", "two or more choices"),
        ("optim.lr=1e-3,0.001", "a choice is there twice"),
        ("optim.name=adam,sgd", "optim.name is 'adam', but must be one of adamw, sgd or rmsprop"),
        ("train.seed=0,1,2", "the best of several seeds is luck"),
        ("train.out=a,b", "every trial its own folder"),
        ("eval.split=val,test", "does not change what it learns"),
        ("data.root=a,b", "measured on the same images"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(text, message):
    with pytest.raises(ConfigError) as caught:
        read_axes([text], BASE)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_option_is_searched_once_and_something_must_be():
    with pytest.raises(ConfigError, match=r"names optim\.lr twice"):
        read_axes(["optim.lr=1..2", "optim.lr=1,2"], BASE)
    with pytest.raises(ConfigError, match="nothing is searched"):
        read_axes([], BASE)


def test_values_are_set_and_the_rest_stays():
    values = {"optim.lr": 0.5, "loss.terms.dice": 0.25, "model.enhancements": ["afma"]}
    config = with_values(BASE, values, "here")
    assert config.optim.lr == 0.5
    assert config.loss.terms == {"cross_entropy": 1.0, "dice": 0.25}
    assert config.model.enhancements == ("afma",)
    assert config.data == BASE.data
    with pytest.raises(ConfigError, match=r"^here: optim\.lr"):
        with_values(BASE, {"optim.lr": -1}, "here")


def test_a_plan_survives_its_file():
    plan = TuningPlan(search=("optim.lr=1..2",), recipe=BASE, trials=3)
    assert TuningPlan.model_validate(plan.model_dump(mode="json")) == plan
