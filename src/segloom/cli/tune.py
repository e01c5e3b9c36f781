"""``segloom tune``: search options for the best score on the validation images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from segloom.cli.options import divide_words, parse
from segloom.cli.train import check_names, check_root
from segloom.comparison.engines.local import ComparisonStopped
from segloom.comparison.search.trials import trials_markdown
from segloom.comparison.search.tune import tune
from segloom.config.load import list_recipes, load_run_config
from segloom.config.run import RunConfig
from segloom.config.tuning import Choices, TuningPlan, read_axes, with_values
from segloom.errors import ConfigError
from segloom.terminal import progress_bar

if TYPE_CHECKING:
    from segloom.comparison.search.trials import Tuning

__all__ = ["TuneOptions", "run"]

USAGE = """\
usage: segloom tune RECIPE --search OPTION=VALUES [OPTION=VALUES ...] [--trials N] [--out DIR]

  RECIPE  one of {recipes}, or a YAML file;
          its own options (--data.root DIR) hold for all trials
  VALUES  1e-4..1e-2:log  a range, by the logarithm if :log follows
          4,8,16          choices (for model.enhancements: none,afma,afma+celt)
"""


@dataclass
class TuneOptions:
    """Train with ever better options, as Optuna proposes them, and keep the best.

    The same command goes on with a search that was stopped.
    """

    plan: Annotated[TuningPlan, arg(name="")] = field(default_factory=TuningPlan)
    """What is searched, and how."""
    out: Path | None = None
    """Folder of the trials and the tables; None is tune/<recipe>."""
    workers: int = 1
    """Trials at once on this machine; each takes its share of the cores."""


def run(words: Sequence[str]) -> int:
    """Search, print the trials and return the exit code: 1 if no trial came to its end."""
    words = list(words)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE.format(recipes=", ".join(list_recipes())))
        if not words:
            raise ConfigError(
                "name a recipe, for example `segloom tune demo --search optim.lr=1e-4..1e-2:log`."
            )
        parse(TuneOptions, words, verb="tune RECIPE")
    options = _read(words)
    folder = options.out or Path("tune") / Path(words[0]).stem
    try:
        with _progress() as show:
            result = tune(options.plan, folder, workers=options.workers, on_change=show)
    except ComparisonStopped:
        print("segloom: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(trials_markdown(result))
    print(f"written to {folder}: trials.md, trials.csv")
    if result.best is None:
        return 1
    print(f"next: segloom train {folder / 'best.yaml'}")
    return 0


def _read(words: Sequence[str]) -> TuneOptions:
    """Divide the words: the search, its own options, and those of the recipe; check them all."""
    recipe, *rest = words
    search, rest = _take_search(rest)
    own, shared = divide_words(rest)
    options = parse(TuneOptions, own, verb="tune")
    base = parse(RunConfig, shared, verb="tune", default=load_run_config(recipe))
    # Every trial has a folder of its own; what a recipe or a run's config.yaml names is not meant.
    place = {"out": None, "resume": False, "overwrite": False}
    base = base.model_copy(update={"train": base.train.model_copy(update=place)})
    check_names(base)
    for axis in read_axes(search, base):
        if isinstance(axis, Choices):
            for value in axis.values.values():
                check_names(with_values(base, {axis.option: value}, axis.option))
    check_root(base)
    plan = options.plan.model_copy(update={"search": tuple(search), "recipe": base})
    return replace(options, plan=plan)


def _take_search(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take the words after ``--search`` up to the next option."""
    search: list[str] = []
    rest: list[str] = []
    target = rest
    for word in words:
        name, separator, first = word.partition("=")
        if name == "--search":
            target = search
            search += [first] if separator else []
            continue
        if word.startswith("-"):
            target = rest
        target.append(word)
    return search, rest


@contextmanager
def _progress() -> Iterator[Callable[[Tuning], None]]:
    """Show how far the search is: a bar on a terminal, a line per finished trial elsewhere."""
    shown: set[int] = set()

    def plain(tuning: Tuning) -> None:
        for trial in tuning.trials:
            if trial.state != "running" and trial.number not in shown:
                shown.add(trial.number)
                print(_line(tuning, trial.number), file=sys.stderr, flush=True)

    with progress_bar(text_last=True, stays=True) as bar:
        if bar is None:
            yield plain
            return

        def show(tuning: Tuning) -> None:
            running = [trial for trial in tuning.trials if trial.state == "running"]
            best = tuning.best
            parts = [] if best is None else [f"best {best.miou:.4f} (trial {best.number})"]
            parts += [f"trial {trial.number}: epoch {trial.epochs}" for trial in running]
            total = max(tuning.plan.trials, len(tuning.trials))
            bar(len(tuning.trials) - len(running), total, "; ".join(parts))

        yield show


def _line(tuning: Tuning, number: int) -> str:
    trial, best = tuning.trials[number], tuning.best
    text = f"trial {number + 1} of {tuning.plan.trials} {trial.state}"
    if trial.cause:
        return f"{text}: {trial.cause}"
    score = "-" if trial.miou is None else f"{trial.miou:.4f}"
    leader = "" if best is None else f" (best {best.miou:.4f}, trial {best.number})"
    return f"{text}: mIoU {score} after {trial.epochs} epochs{leader}"
