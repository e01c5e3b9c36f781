"""The public list is sorted, complete and loads."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

import segloom


def test_public_names_are_sorted_and_have_a_home():
    assert list(segloom._HOMES) == segloom.__all__
    assert set(dir(segloom)) == set(segloom.__all__)


@pytest.mark.parametrize("name", segloom.__all__)
def test_every_public_name_loads(name):
    assert getattr(segloom, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'create_modle'"):
        segloom.create_modle  # noqa: B018 - looking it up is what raises


def test_no_public_name_is_hidden_by_a_room_of_the_same_name():
    for name in segloom.__all__:
        import_module(segloom._HOMES[name])
        assert not isinstance(getattr(segloom, name), ModuleType), name
