"""Progress: a bar on a terminal, nothing or a line now and then elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from segloom import terminal
from segloom.terminal import Pace, progress_bar, track


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def open_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Put a terminal in the place of standard error; a fixture would do it before pytest does."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return screen


def test_a_bar_shows_number_total_and_words_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_screen(monkeypatch)
    with progress_bar("reading", text_last=True, stays=True) as show:
        assert show is not None
        show(2, 5, "a [red]name")
    assert "2/5" in screen.getvalue()
    assert "a [red]name" in screen.getvalue()


def test_bytes_are_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_screen(monkeypatch)
    with progress_bar("fetching", "bytes", stays=True) as show:
        assert show is not None
        show(2_000_000, 5_000_000)
    assert "2.0/5.0 MB" in screen.getvalue()


def test_items_are_passed_on_behind_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_screen(monkeypatch)
    assert list(track("abc", "working", 3)) == ["a", "b", "c"]
    assert "working" in screen.getvalue()
    assert "3/3" in screen.getvalue()


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading") as show:
        assert show is None
    assert list(track("abc", "working", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_quiet_bar_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_screen(monkeypatch)
    with progress_bar("reading", quiet=True) as show:
        assert show is None
    assert screen.getvalue() == ""


def test_lines_come_at_once_and_then_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    pace = Pace(10)
    due = []
    for seconds in (0, 4, 4, 4, 9, 1):
        now[0] += seconds
        due.append(pace.is_due())
    assert due == [True, False, False, True, False, True]
