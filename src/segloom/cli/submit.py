"""``segloom submit cityscapes RUN --data.root DIR --out FILE.zip``: what a server takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from segloom.cli.options import parse
from segloom.config.evaluation import InferenceConfig
from segloom.terminal import progress_bar

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
    options = parse(SubmitOptions, words, verb="submit")
    from segloom.inference.submission import submit_cityscapes

    try:
        with progress_bar("predicting") as show:
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
