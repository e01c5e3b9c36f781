"""``segloom edges``: find the edges of photographs with HED, or train it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

if TYPE_CHECKING:
    from segloom.inference.edges import EdgeFile

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
    from segloom.cli.options import parse

    options = parse(EdgeOptions, words, verb="edges")

    from segloom.inference.edges import EdgeFinder, edge_targets

    pairs = edge_targets(options.source, options.out)
    finder = EdgeFinder(options.weights, geometry=options.geometry, device=options.device)
    done = list(_shown((finder.write(*pair) for pair in pairs), len(pairs)))
    failed = [result.error for result in done if result.error]
    skipped = sum(result.skipped for result in done)
    counts = f"{len(done) - len(failed) - skipped} written, {skipped} there already"
    print(f"{counts}{f', {len(failed)} failed' if failed else ''}; edges in {options.out}")
    for error in failed:
        print(f"segloom: {error}", file=sys.stderr)
    return 1 if failed else 0


def _shown(results: Iterator[EdgeFile], total: int) -> Iterator[EdgeFile]:
    """Pass results on behind a progress bar; without a terminal, as they are."""
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, "finding edges", total=total, console=Console(stderr=True))


def _train(words: Sequence[str]) -> int:
    from segloom.cli.options import parse
    from segloom.config.edges import EdgeTrainingConfig

    config = parse(EdgeTrainingConfig, words, verb="edges train")

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    from segloom.training.edges import train_edges

    console = Console(stderr=True)

    def announce(done: int) -> None:
        console.print(
            f"training HED: {config.steps} steps of {config.data.batch_size} images each, saved to "
            f"{config.out} every {config.save_every} steps"
            + (f"; {done} are done already" if done else ""),
            highlight=False,
            soft_wrap=True,
        )

    columns = (TextColumn("loss {task.fields[loss]}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeLeft(), console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("training", total=config.steps, loss="-")
        result = train_edges(
            config,
            on_start=announce,
            progress=lambda step, loss: bar.update(task, completed=step, loss=f"{loss:.0f}"),
        )
    for row in result.rows[-MAX_ROWS:]:
        print(f"step {row['step']:.0f}: loss {row['loss']:.1f}, fused {row['fused']:.1f}")
    print(f"{result.weights} is trained; next: segloom edges --weights {result.weights} ...")
    return 0
