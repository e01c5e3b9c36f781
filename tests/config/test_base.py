"""Sections are frozen and strict, and pairs of words become a mapping."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from segloom.config.base import Section, pairs
from segloom.errors import ConfigError


class Options(Section):
    size: int = 1


def test_an_option_is_not_changed_in_place_and_the_way_is_named():
    options = Options()
    with pytest.raises(ConfigError, match=r"not changed in place.*another 'size' by config\.over"):
        options.size = 3
    assert options.size == 1


def test_unknown_options_are_refused():
    with pytest.raises(ValidationError, match="sise"):
        Options(sise=1)


def test_defaults_are_checked_too():
    class Wrong(Section):
        size: int = "many"

    with pytest.raises(ValidationError, match="valid integer"):
        Wrong()


def test_pairs_of_words_become_a_mapping_and_back():
    spec = pairs(float, "NAME WEIGHT")
    assert (spec.nargs, spec.metavar) == ("*", "NAME WEIGHT")
    assert spec.instance_from_str(["dice", "0.5", "bce", "2"]) == {"dice": 0.5, "bce": 2.0}
    assert spec.instance_from_str([]) == {}
    assert spec.str_from_instance({"dice": 0.5, "bce": 2.0}) == ["dice", "0.5", "bce", "2.0"]
    assert spec.is_instance({})
    assert not spec.is_instance([])


def test_a_name_without_a_value_is_refused():
    with pytest.raises(ValueError, match="expected name value pairs, got dice 1 bce"):
        pairs(float, "X").instance_from_str(["dice", "1", "bce"])
