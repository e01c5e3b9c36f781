"""``segloom eval``: measure a run on a split, print the scores and write the report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from segloom.cli.options import parse
from segloom.config import DataConfig, EvalConfig
from segloom.config.effects import idle_inference_options
from segloom.config.load import read_config
from segloom.evaluation.summary import sections
from segloom.report import write_report
from segloom.run_directory import RunDirectory
from segloom.terminal import Pace, progress_bar

if TYPE_CHECKING:
    from segloom.evaluation import Evaluation, Progress

__all__ = ["EvaluateOptions", "run"]

MOST_GROUPS = 10
"""Groups whose scores are printed."""


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
    for sentence in idle_inference_options(options.config.inference, "inference"):
        print(f"note: {sentence}", file=sys.stderr)
    from segloom.evaluation import evaluate, measured_split

    data = None if options.data == DataConfig() else options.data
    if data is not None and not any(word.split("=")[0] == "--split" for word in words):
        split = measured_split(options.config.split, data)
        options.config = options.config.model_copy(update={"split": split})
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
    with progress_bar("measuring", stays=True) as bar:
        yield _plain_lines() if bar is None else lambda state: bar(state.done, state.total)


def _plain_lines() -> Callable[[Progress], None]:
    pace = Pace()

    def show(state: Progress) -> None:
        is_first = state.measured == 0
        if not pace.is_due() and not is_first and state.done < state.total:
            return
        line = f"measured {state.done} of {state.total} images"
        if state.remaining_seconds is not None and state.done < state.total:
            line += f", {state.remaining_seconds:.0f} s left"
        if is_first and not state.done:
            line = f"measuring {state.total} images"
        print(line, file=sys.stderr, flush=True)

    return show


def _print_tables(evaluation: Evaluation) -> None:
    metrics, console = evaluation.metrics, Console()
    for shown in sections(metrics):
        words, numbers = shown.columns[: shown.num_words - 1], shown.columns[shown.num_words - 1 :]
        table = Table(escape(shown.title), *map(escape, words), *_right(*map(escape, numbers)))
        for row in shown.rows:
            table.add_row(*(escape(_cell(value)) for value in row))
        console.print(table)
    for name, value in evaluation.scores.items():
        interval = _cell(evaluation.interval(name) or "")
        print(f"{name:<6} {_cell(value):>6} %" + (f"   95 % interval {interval}" * bool(interval)))
    print(f"{metrics['split']} split, {metrics['num_images']} images. {metrics['policy']}")
    if metrics["groups"]:
        _print_groups(metrics["groups"])
    if metrics["trained_groups"]:
        print(metrics["trained_groups"]["words"])


def _print_groups(part: dict[str, Any]) -> None:
    shown = part["groups"][:MOST_GROUPS]
    scores = (f"{g['name']} {_cell(g['mIoU'])} % ({g['num_images']} images)" for g in shown)
    more = len(part["groups"]) - len(shown)
    print(f"mIoU by group: {', '.join(scores)}{f', {more} more in metrics.json' if more else ''}")
    print(part["rule"])


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right", no_wrap=True) for name in names]


def _cell(value: str | int | float | Sequence[float] | None) -> str:
    """Write a share or an interval in per cent, a number or words as they are."""
    if value is None:
        return "-"
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, float):
        return f"{100 * value:.2f}"
    low, high = value
    return f"{100 * low:.1f} to {100 * high:.1f}"
