"""Files are written whole, by one writer, and what killed ones left goes away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segloom.errors import ConfigError
from segloom.files import hold_lock, parse_json, parse_yaml, write_text


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "whole")
    with pytest.raises(UnicodeEncodeError):
        write_text(target, f"{'half' * 10_000}\udcff")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "whole"


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    write_text(tmp_path / f"{'L' * 251}.txt", "whole")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_leftovers_of_killed_writers_go_at_the_first_write(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (".segloom-a.txt", ".segloom-b.txt", "old.txt"))
    for path in (old, new, other):
        path.touch()
    os.utime(old, (1e9, 1e9))
    os.utime(other, (1e9, 1e9))
    write_text(tmp_path / "a.txt", "whole")
    assert not old.exists()
    assert new.exists()  # perhaps of a program that runs now
    assert other.exists()


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    lock = tmp_path / "new" / ".lock"
    with hold_lock(lock, "taken."), pytest.raises(ConfigError, match=r"taken\."):  # noqa: SIM117
        with hold_lock(lock, "taken."):
            pass
    with hold_lock(lock, "taken."):
        pass


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "{", "\x00"])
@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
def test_what_is_no_document_is_one_kind_of_error(parse, text: str) -> None:
    if parse is parse_yaml and not text:
        assert parse(text) is None
        return
    with pytest.raises(ValueError, match=r"."):
        parse(text[:20_000])


def test_documents_of_plain_values_are_read() -> None:
    assert parse_json(b'{"a": [1, null]}') == {"a": [1, None]}
    assert parse_yaml("a: [1, null]") == {"a": [1, None]}
    with pytest.raises(ValueError, match="could not determine a constructor"):
        parse_yaml("!!python/object/apply:os.getcwd []")
