"""Progress on standard error: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

__all__ = ["Pace", "Show", "is_terminal", "progress_bar", "track"]

PLAIN_SECONDS = 10.0
"""Time between two lines where there is no terminal."""

T = TypeVar("T")


class Show(Protocol):
    """Moves a bar; what is None stays as it is."""

    def __call__(self, done: float, total: float | None = None, text: str | None = None, /) -> None:
        """Show how much is done, of how much, and a text."""


class Pace:
    """Says when the next line is due where there is no bar: at once, then every few seconds."""

    def __init__(self, seconds: float = PLAIN_SECONDS) -> None:
        self.seconds, self.last = seconds, float("-inf")

    def is_due(self) -> bool:
        """Return whether it is time, and if so count anew."""
        now = time.monotonic()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True


def is_terminal() -> bool:
    """Return whether a person looks at standard error."""
    return sys.stderr.isatty()


@contextmanager
def progress_bar(
    text: str = "",
    unit: str = "",
    *,
    total: float | None = None,
    text_last: bool = False,
    stays: bool = False,
    quiet: bool = False,
) -> Iterator[Show | None]:
    """Show a bar on a terminal; give None elsewhere.

    Args:
        text: Words beside the bar.
        unit: ``bytes`` are shown as such, everything else as a number of a number.
        total: How much there is to do, if this is known.
        text_last: Show the text behind the bar instead of before it.
        stays: Leave the bar on the terminal at the end.
        quiet: Show none.
    """
    if quiet or not is_terminal():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    words = TextColumn("{task.description}", markup=False)
    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    middle = (BarColumn(), count, TimeRemainingColumn())
    columns = (*middle, words) if text_last else (words, *middle)
    with Progress(*columns, console=Console(stderr=True), transient=not stays) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done, total=None, text=None: bar.update(
            task, completed=done, total=total, description=text
        )


def track(items: Iterable[T], text: str, total: int) -> Iterator[T]:
    """Pass items on behind a bar; without a terminal, as they are."""
    with progress_bar(text, total=total, stays=True) as show:
        for number, item in enumerate(items, start=1):
            if show is not None:
                show(number)
            yield item
