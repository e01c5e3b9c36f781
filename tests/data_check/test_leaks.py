"""Images of training in another split: byte for byte, whatever their names."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from segloom.config.data import DataConfig
from segloom.data_check import leaks
from segloom.data_check.leaks import find_leaks
from segloom.errors import ConfigError, DataError
from segloom.types import Record


@pytest.fixture
def find(tmp_path, monkeypatch):
    """Write files, say which split has which, and look for leaks."""

    def run(files, train, parts=None, **others):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)

        def source(names):
            part = (parts or {}).get
            return SimpleNamespace(
                records=[Record(name, tmp_path / name, part=part(name)) for name in names]
            )

        def read(_, split):
            found = others.get(split, DataError("no such split"))
            if isinstance(found, Exception):
                raise found
            return source(found)

        monkeypatch.setattr(leaks, "read_source", read)
        return find_leaks(DataConfig(root=tmp_path), source(train))

    return run


def test_equal_bytes_under_another_name_are_found(find, tmp_path):
    files = {"a": b"1234", "b": b"5678", "copy": b"1234", "other": b"9999"}
    (found,) = find(files, ["a", "b"], val=["other"], test=["copy"])
    assert (found.level, found.kind) == ("problem", "leak")
    assert found.files == (f"{tmp_path / 'copy'} = {tmp_path / 'a'}",)
    assert found.message.startswith("1 images of val or test are in training too")


def test_the_same_file_in_both_is_found_and_all_are_counted(find):
    (found,) = find({"a": b"1", "b": b"22"}, ["a", "b"], val=["a"], test=["a", "b"])
    assert len(found.files) == 3
    assert found.message.startswith("3 images")


def test_other_bytes_of_the_same_or_another_length_are_none(find):
    assert find({"a": b"1234", "b": b"4321", "c": b"12345"}, ["a"], val=["b"], test=["c"]) == []


@pytest.mark.parametrize("error", [DataError("none"), ConfigError("none")])
def test_a_missing_split_has_no_leak(find, error):
    assert find({"a": b"1"}, ["a"], val=error) == []


def test_parts_of_one_file_are_none(find):
    assert find({"a": b"1"}, ["a"], parts={"a": 3}, val=["a"]) == []


def test_a_file_that_is_gone_is_no_other_one(find, tmp_path):
    assert find({}, ["gone"], val=["missing"]) == []
    (found,) = find({}, ["gone"], val=["gone"])
    assert found.files == (f"{tmp_path / 'gone'} = {tmp_path / 'gone'}",)
