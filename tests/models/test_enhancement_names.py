"""Every form in which enhancements are asked for gives the same names."""

from __future__ import annotations

import pytest
from torch import nn

from segloom.enhancements.afma import AfmaConfig
from segloom.enhancements.base import Enhancement
from segloom.enhancements.se import SeConfig
from segloom.errors import ConfigError, UnknownNameError
from segloom.models.enhancement_names import AS_MODULE, base_name, name_enhancements


class Mine(Enhancement):
    pass


class MineConfig(SeConfig):
    pass


@pytest.mark.parametrize(
    "asked",
    [
        "afma:level=2",
        ["afma:level=2"],
        {"afma": {"level": 2}},
        AfmaConfig(level=2),
        [AfmaConfig(level=2)],
        {"afma_2": {"level": 2}},
    ],
)
def test_one_enhancement_in_every_form(asked):
    assert name_enhancements(asked) == {"afma": AfmaConfig(level=2)}


def test_none_is_none():
    assert name_enhancements(None) == name_enhancements([]) == name_enhancements({}) == {}
    assert name_enhancements({"se": None}) == {"se": SeConfig()}


def test_the_second_and_third_of_a_kind_are_numbered_in_order():
    found = name_enhancements(["afma:level=1", SeConfig(), {"afma": {"level": 2}}, "afma:level=3"])
    assert list(found) == ["afma", "se", "afma_2", "afma_3"]
    assert [found[name].level for name in ("afma", "afma_2", "afma_3")] == [1, 2, 3]


def test_saved_names_come_back_as_they_were():
    saved = {"afma": {"level": 1}, "se": {}, "afma_2": {"level": 2}}
    found = name_enhancements(saved)
    assert list(found) == list(saved)
    assert found["afma_2"].level == 2


def test_a_class_of_the_users_own_is_called_like_it():
    module = Mine()
    assert name_enhancements(module) == {"mine": module}
    assert list(name_enhancements([module, MineConfig()])) == ["mine", "mine_2"]


@pytest.mark.parametrize(
    ("name", "base"),
    [("afma_2", "afma"), ("afma", "afma"), ("deep_supervision", "deep_supervision"), ("_2", ""),
     ("afma_x", "afma_x"), ("a_b_13", "a_b")],
)  # fmt: skip
def test_the_number_is_taken_off_a_name(name, base):
    assert base_name(name) == base


def test_a_name_that_ends_in_a_number_of_its_own_is_kept(monkeypatch):
    from segloom.models import enhancement_names

    monkeypatch.setattr(enhancement_names, "known_enhancements", lambda: {"net_2": "x:Y"})
    assert base_name("net_2") == "net_2"
    assert base_name("net_3") == "net"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (3, "is a name, a mapping, a configuration or a module; got 3"),
        ([["afma"]], r"a configuration or a module; got \['afma'\]"),
        ({"se": AS_MODULE}, "se was attached as a module, whose options were not saved; pass"),
        ({"se": "x"}, "options of enhancement se are a mapping; got 'x'"),
    ],
)
def test_other_forms_are_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        name_enhancements(asked)


def test_an_unknown_name_is_suggested():
    with pytest.raises(UnknownNameError, match="did you mean 'afma'"):
        name_enhancements("afna")


@pytest.mark.parametrize("name", ["Keys", "Forward"])
def test_a_name_that_pytorch_uses_is_refused(name):
    kind = type(name, (Enhancement,), {})
    assert hasattr(nn.ModuleDict(), name.lower())
    with pytest.raises(ConfigError, match=f"cannot be called {name.lower()}.*{name.lower()}_block"):
        name_enhancements(kind())
