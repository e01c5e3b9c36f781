"""``segloom eval``: measure a run on a split, print the scores and write the report."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from segloom.config import DataConfig, EvalConfig

if TYPE_CHECKING:
    from rich.console import Console

    from segloom.evaluation import Evaluation, Progress

__all__ = ["EvaluateOptions", "run"]

PLAIN_SECONDS = 10.0
"""Time between two progress lines where there is no terminal."""


@dataclass
class EvaluateOptions:
    """Measure a trained network on a split and write its report.

    Options that are not given are those of the run's config.yaml. A stopped evaluation goes on
    where it was when the same command is given again.
    """

    run: tyro.conf.Positional[Path]
    """Folder that `segloom train` wrote, or a model directory."""
    config: Annotated[EvalConfig, tyro.conf.arg(name="")] = field(default_factory=EvalConfig)
    """What is measured."""
    data: DataConfig = field(default_factory=DataConfig)
    """Where the images are, if not where the run was trained."""
    json: bool = False
    """Print metrics.json and the report's path instead of tables."""


def run(words: Sequence[str]) -> int:
    """Evaluate, print, write the report; return the exit code."""
    options = _read_options(words)
    from segloom.evaluation import evaluate
    from segloom.report import write_report

    data = None if options.data == DataConfig() else options.data
    try:
        with _progress() as show:
            evaluation = evaluate(options.run, options.config, data, on_progress=show)
    except KeyboardInterrupt:
        print("what is measured is kept: the same command goes on from here", file=sys.stderr)
        raise
    report = write_report(options.run, options.config.split)
    if options.json:
        print(json.dumps({**evaluation.metrics, "report": str(report)}, indent=2))
    else:
        _print_tables(evaluation)
        print(f"report: {report}")
    return 0


def _read_options(words: Sequence[str]) -> EvaluateOptions:
    """Parse twice: the first time only tells the run, whose options are then the defaults."""
    from segloom.cli.options import parse
    from segloom.config.load import read_config
    from segloom.run_directory import RunDirectory

    options = parse(EvaluateOptions, words, verb="eval")
    path = RunDirectory(options.run).config
    if not path.is_file():
        return options
    config = read_config(path)
    defaults = EvaluateOptions(run=options.run, config=config.eval, data=config.data)
    return parse(EvaluateOptions, words, verb="eval", default=defaults)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Show progress on the error stream: a bar on a terminal, now and then a line elsewhere."""
    if not sys.stderr.isatty():
        yield _plain_lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("measuring", total=None)
        yield lambda state: bar.update(task, completed=state.done, total=state.total)


def _plain_lines() -> Callable[[Progress], None]:
    last = [time.monotonic()]

    def show(state: Progress) -> None:
        now = time.monotonic()
        is_first = state.measured == 0
        if not is_first and state.done < state.total and now - last[0] < PLAIN_SECONDS:
            return
        last[0] = now
        line = f"measured {state.done} of {state.total} images"
        if state.remaining_seconds is not None and state.done < state.total:
            line += f", {state.remaining_seconds:.0f} s left"
        if is_first and not state.done:
            line = f"measuring {state.total} images"
        print(line, file=sys.stderr, flush=True)

    return show


def _print_tables(evaluation: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table

    metrics, console = evaluation.metrics, Console()
    recall = "recall" if metrics["mode"] == "multilabel" else "accuracy"
    table = Table("class", *_right("IoU", "95 %", recall, "precision", "Dice", "pixels"))
    for row in metrics["per_class"]:
        interval = _interval(evaluation, f"IoU.{row['name']}")
        rest = (_percent(row[key]) for key in ("accuracy", "precision", "Dice", "pixels"))
        table.add_row(row["name"], _percent(row["IoU"]), interval, *rest)
    console.print(table)
    if metrics["regions"]:
        _print_regions(console, metrics["regions"])
    if metrics["size"]:
        table = Table("object size", *_right("objects", "IoU", "95 %", "recall"))
        for row in metrics["size"]["buckets"]:
            interval = _interval(evaluation, f"IoU.size {row['name']}")
            scores = _percent(row["IoU"]), interval, _percent(row["recall"])
            table.add_row(row["name"], str(row["num_objects"]), *scores)
        console.print(table)
    if metrics["boundary"]:
        table = Table("boundary within", *_right("bIoU", "95 %", "bF", "95 %"))
        for row in metrics["boundary"]["tolerances"]:
            cells = []
            for name in ("bIoU", "bF"):
                interval = _interval(evaluation, f"{name}@{row['tolerance']:g}")
                cells += [_percent(row[name]), interval]
            table.add_row(_tolerance(row), *cells)
        console.print(table)
    if metrics["davis_boundary"]:
        columns = _right("F", "95 %", "precision", "recall")
        table = Table("boundary of DAVIS within", *columns)
        for row in metrics["davis_boundary"]["tolerances"]:
            interval = _interval(evaluation, f"davisF@{row['tolerance']:g}")
            scores = _percent(row["F"]), interval, _percent(row["precision"])
            table.add_row(_tolerance(row), *scores, _percent(row["recall"]))
        console.print(table)
    for name, value in evaluation.scores.items():
        interval = _interval(evaluation, name)
        print(
            f"{name:<6} {_percent(value):>6} %" + (f"   95 % interval {interval}" * bool(interval))
        )
    print(f"{metrics['split']} split, {metrics['num_images']} images. {metrics['policy']}")


def _print_regions(console: Console, part: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("region", "score", *_right(f"mean per {part['unit']}", "95 %", "whole"))
    for region in part["regions"]:
        for name, value in region["mean"].items():
            ends = region["intervals"].get(f"mean.{name}")
            interval = f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}" if ends else ""
            whole = _percent(region["whole"].get(name))
            table.add_row(region["name"], name, _percent(value), interval, whole)
    console.print(table)


def _tolerance(row: dict[str, Any]) -> str:
    share = f"{100 * row['tolerance']:.4g} % ({row['pixels']} px)"
    return share if row["tolerance"] < 1 else f"{row['pixels']} px"


def _right(*names: str) -> list[Any]:
    from rich.table import Column

    return [Column(name, justify="right", no_wrap=True) for name in names]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _interval(evaluation: Evaluation, name: str) -> str:
    ends = evaluation.interval(name)
    return "" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
