"""The tree of errors, the suggestion of names, and what the operating system refuses in words."""

from __future__ import annotations

import errno

import pytest

from segloom import errors
from segloom.errors import (
    REASONS,
    ConfigError,
    DataError,
    SegloomError,
    UnknownNameError,
    describe_system_error,
    is_memory_error,
)


def test_every_error_is_one_of_segloom_and_stands_in_the_drawn_tree():
    kinds = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(kinds) == 9
    for kind in kinds:
        assert issubclass(kind, SegloomError)
        assert kind.__name__ in errors.__doc__
    assert issubclass(UnknownNameError, ConfigError)
    assert issubclass(errors.ImageTooLargeError, DataError)
    assert issubclass(errors.NoSplitError, DataError)


@pytest.mark.parametrize("name", ["UNET", "unett", "unt"])
def test_the_nearest_name_is_suggested_whatever_its_capitals(name):
    error = UnknownNameError("architecture", name, ["fpn", "Unet", "linknet"])
    assert str(error) == f"unknown architecture '{name}': did you mean 'Unet'?"
    assert (error.kind, error.name, error.known) == (
        "architecture",
        name,
        ["Unet", "fpn", "linknet"],
    )


def test_names_that_are_like_none_get_the_whole_list_in_order():
    assert str(UnknownNameError("loss", "qqq", iter(["dice", "bce"]))) == (
        "unknown loss 'qqq': choose from bce, dice."
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "no memory"), True),
        (OSError(errno.ENOSPC, "out of memory"), False),
        (RuntimeError("CUDA out of memory. Tried to"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed."), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_ran_out_is_known_in_every_librarys_words(error, expected):
    assert is_memory_error(error) is expected
    assert (describe_system_error(error) or "").startswith("out of memory; lower") is expected


@pytest.mark.parametrize("number", sorted(REASONS))
def test_what_the_system_refuses_is_a_sentence_with_the_place(number):
    reason = REASONS[number]
    assert (
        describe_system_error(OSError(number, "x", "/data/a")) == f"cannot use /data/a: {reason}."
    )
    assert describe_system_error(OSError(number, "x")) == f"{reason}."


def test_the_errors_behind_an_error_are_looked_at():
    full = OSError(errno.ENOSPC, "x", "/data/a")
    outer = RuntimeError("saving failed")
    outer.__cause__ = ValueError("no")
    outer.__cause__.__context__ = full
    assert "/data/a: the disk is full" in describe_system_error(outer)


def test_errors_of_writers_in_other_languages_are_told_by_their_text():
    kind = type("SafetensorError", (Exception,), {"__module__": "safetensors"})
    for text in ("I/O error: x (os error 28)", "Error { code: 28, kind: StorageFull }"):
        assert describe_system_error(kind(text)).startswith("the disk is full")
        assert describe_system_error(RuntimeError(text)) is None
    for text in ("No space left on device", "PytorchStreamWriter failed writing file data/3"):
        assert describe_system_error(RuntimeError(text)).startswith("the disk is full")


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), OSError(errno.ENOENT, "x", "a")])
def test_other_errors_are_no_refusal_of_the_system(error):
    assert describe_system_error(error) is None
