"""``segloom edges``: find the edges of photographs with HED, or train it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from segloom.cli.options import parse
from segloom.config.edges import EdgeTrainingConfig
from segloom.terminal import progress_bar, track
from segloom.text import printable

__all__ = ["EdgeOptions", "run"]

USAGE = """\
usage: segloom edges --weights FILE --in DIR --out DIR   (segloom edges --help tells more)
       segloom edges train --weights FILE --out DIR      (segloom edges train --help tells more)
"""

MAX_ROWS = 10  # of losses that are printed; loss.csv has all


@dataclass
class EdgeOptions:
    """Write the edges of every image below a folder as grey PNG files of the same name and size.

    What is there already, from the same image and weights, is not made again.
    """

    weights: Path
    """File with the weights of HED: .safetensors, .pth, .npz or .caffemodel."""
    source: Annotated[Path, arg(name="in")]
    """Folder of the images, searched to the bottom."""
    out: Path
    """Folder of the edges."""
    geometry: Literal["caffe", "simple"] = "caffe"
    """caffe is the authors' placing of the score maps, simple costs less."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


def run(words: Sequence[str]) -> int:
    """Find edges or train; return 1 if one of the images failed."""
    if not words:
        print(USAGE)
        return 2
    if words[0] == "train":
        return _train(words[1:])
    options = parse(EdgeOptions, words, verb="edges")

    from segloom.inference.hed import EdgeFinder, edge_targets

    pairs = edge_targets(options.source, options.out)
    finder = EdgeFinder(options.weights, geometry=options.geometry, device=options.device)
    done = list(track((finder.write(*pair) for pair in pairs), "finding edges", len(pairs)))
    failed = [result.error for result in done if result.error]
    skipped = sum(result.skipped for result in done)
    counts = f"{len(done) - len(failed) - skipped} written, {skipped} there already"
    print(f"{counts}{f', {len(failed)} failed' if failed else ''}; edges in {options.out}")
    for error in failed:
        print(f"segloom: {printable(error)}", file=sys.stderr)
    return 1 if failed else 0


def _train(words: Sequence[str]) -> int:
    config = parse(EdgeTrainingConfig, words, verb="edges train")

    from segloom.training.hed import train_edges

    def announce(done: int) -> None:
        print(
            f"training HED: {config.steps} steps of {config.data.batch_size} images each, saved to "
            f"{config.out} every {config.save_every} steps"
            + (f"; {done} are done already" if done else ""),
            file=sys.stderr,
            flush=True,
        )

    with progress_bar("loss -", total=config.steps) as bar:

        def show(step: int, loss: float) -> None:
            if bar is not None:
                bar(step, None, f"loss {loss:.0f}")

        result = train_edges(config, on_start=announce, progress=show)
    for row in result.rows[-MAX_ROWS:]:
        print(f"step {row['step']:.0f}: loss {row['loss']:.1f}, fused {row['fused']:.1f}")
    print(f"{result.weights} is trained; next: segloom edges --weights {result.weights} ...")
    return 0
