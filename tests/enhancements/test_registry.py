"""Enhancements of other packages are found by entry point and attach by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from segloom import plugins
from segloom.enhancements import (
    Enhancement,
    EnhancementConfig,
    enhancement_config,
    list_enhancements,
)
from segloom.errors import ConfigError
from segloom.models import create_model


@dataclass(frozen=True, kw_only=True)
class ForeignConfig(EnhancementConfig):
    """Stands for a class in another package."""

    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise ValueError("strength must not be negative")

    def build(self, shape):
        return Foreign()


class Foreign(Enhancement):
    def correct(self, logits, signal):
        return logits * 0


@pytest.fixture
def other_package(monkeypatch):
    point = EntryPoint("foreign", f"{__name__}:ForeignConfig", "segloom.enhancements")

    def entry_points(*, group):
        return [point] if group == "segloom.enhancements" else []

    monkeypatch.setattr(plugins, "entry_points", entry_points)


@pytest.mark.usefixtures("other_package")
def test_an_entry_point_attaches_by_name_with_options():
    assert "foreign" in list_enhancements()
    model = create_model(
        "unet", encoder_name="tu-test_resnet", enhancements=["afma", {"foreign": {"strength": 2.0}}]
    )
    assert list(model.enhancements) == ["afma", "foreign"]
    assert model.spec["enhancements"][1] == {"foreign": {"loss_weight": 1.0, "strength": 2.0}}


@pytest.mark.usefixtures("other_package")
def test_an_option_that_its_config_refuses_is_said_with_its_name():
    with pytest.raises(ConfigError, match="enhancement foreign: strength must not be negative"):
        enhancement_config("foreign", strength=-1.0)


@pytest.mark.parametrize("name", ["pop", "type", "training", "a.b"])
def test_a_name_that_torch_takes_is_refused_in_a_sentence(monkeypatch, name):
    point = EntryPoint(name, f"{__name__}:ForeignConfig", "segloom.enhancements")
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [point])
    with pytest.raises(ConfigError, match=f"an enhancement cannot be called {name}, which means"):
        create_model("unet", encoder_name="tu-test_resnet", enhancements=[name])


def test_without_the_other_package_its_name_is_unknown():
    with pytest.raises(ConfigError, match="unknown enhancement 'foreign'"):
        enhancement_config("foreign")


def test_a_config_that_cannot_build_says_whose_fault_it_is():
    with pytest.raises(NotImplementedError, match="EnhancementConfig does not say how"):
        EnhancementConfig().build(None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "two"}, r"enhancement afma: level is 'two', but must be a valid integer$"),
        ({"level": 2.5}, r"enhancement afma: level is 2\.5, but must be a valid integer$"),
        (
            {"mode": "exact"},
            r"enhancement afma: mode is 'exact', but must be one of default or",
        ),
        ({"loss_weight": float("nan")}, r"afma: loss_weight must be 0 or more; got nan"),
        ({"level": -1}, r"afma: level must be at least 0, not -1"),
    ],
)
def test_an_option_of_a_wrong_kind_is_named_with_its_value(options, message):
    with pytest.raises(ConfigError, match=message):
        enhancement_config("afma", **options)


def test_numbers_given_as_text_are_read():
    assert enhancement_config("afma", level="2").level == 2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "se",
            {"gate": "tanh"},
            "gate is 'tanh', but must be one of sigmoid, softmax or",
        ),
        (
            "fem",
            {"extractor": "foo"},
            "extractor is 'foo', but must be one of highpass, lowp",
        ),
        (
            "se",
            {"gate": "tanh", "ratio": "x"},
            "softmax; ratio is 'x', but must be a valid int",
        ),
    ],
)
def test_what_an_option_may_be_is_said_in_words_of_ours(name, options, message):
    with pytest.raises(ConfigError, match=f"^enhancement {name}: .*{message}"):
        enhancement_config(name, **options)
