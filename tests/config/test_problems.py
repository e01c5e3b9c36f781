"""What pydantic finds, in a user's words."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from segloom.config.base import Section
from segloom.config.problems import LONGEST, describe_problem


class Options(Section):
    size: Annotated[int, Field(ge=1)] = 1
    kind: Literal["a", "b", "c"] = "a"
    only: Literal["x"] = "x"
    own: float = 0
    names: tuple[str, ...] = ()

    @field_validator("own")
    @classmethod
    def check(cls, value):
        if value < 0:
            raise ValueError(f"is a share, not {value:g}")
        return value


def describe(place="data.size", **values):
    with pytest.raises(ValidationError) as found:
        Options(**values)
    (problem,) = found.value.errors()
    return describe_problem(problem, place)


def test_a_value_out_of_range_is_shown_with_what_it_must_be():
    assert describe(size=0) == "data.size is 0, but must be greater than or equal to 1"


def test_a_value_of_another_type_is_shown_without_pydantics_reason():
    assert describe(size="many") == "data.size is 'many', but must be a valid integer"
    assert describe(size=None) == "data.size is None, but must be a valid integer"


def test_choices_are_listed_without_quotes():
    assert describe(kind="d") == "data.size is 'd', but must be one of a, b or c"
    assert describe(only="y") == "data.size is 'y', but must be x"


def test_a_sentence_of_ours_stands_alone_after_the_place():
    assert describe(own=-0.5) == "data.size: is a share, not -0.5"
    assert describe(place="", own=-0.5) == "is a share, not -0.5"


def test_an_unknown_option_shows_what_was_given():
    assert describe(sise=3) == "data.size: Extra inputs are not permitted (got 3)"


def test_long_values_and_objects_are_not_repeated():
    assert describe(size="x" * (LONGEST - 2)).startswith("data.size is 'xxx")
    assert describe(size="x" * LONGEST) == "data.size must be a valid integer"
    assert describe(size={"a": 1}) == "data.size must be a valid integer"
    assert describe(sise={"a": 1}) == "data.size: Extra inputs are not permitted"
