"""``segloom submit cityscapes RUN --data.root DIR --out FILE.zip``: what a server takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from segloom.config.evaluation import InferenceConfig

__all__ = ["SubmitOptions", "run"]


@dataclass
class TestImages:
    """Where the test images are."""

    root: Path
    """Folder of the data set."""


@dataclass
class SubmitOptions:
    """Predict a benchmark's test split and write the file that its server takes.

    A stopped submission goes on where it was when the same command is given again.
    """

    benchmark: Positional[Literal["cityscapes"]]
    """Which benchmark."""
    run: Positional[Path]
    """A run (its best checkpoint is taken) or a model directory."""
    data: TestImages
    """Where the test images are."""
    out: Path = Path("submission.zip")
    """The file to upload."""
    partial: bool = False
    """Allow fewer images than the server takes, to try it out."""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    """How an image is seen."""


def run(words: Sequence[str]) -> int:
    """Write the submission and say what is in it."""
    from segloom.cli.options import parse

    options = parse(SubmitOptions, words, verb="submit")
    from segloom.inference.submission import submit_cityscapes

    try:
        with _progress() as show:
            number = submit_cityscapes(
                options.run,
                options.data.root.expanduser(),
                options.out,
                options.inference,
                partial=options.partial,
                on_progress=show,
            )
    except KeyboardInterrupt:
        print("what is predicted is kept: the same command goes on from here", file=sys.stderr)
        raise
    print(f"{options.out}: {number} label maps")
    return 0


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("predicting", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
