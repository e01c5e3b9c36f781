"""``segloom compare``: does an enhancement truly help? Cells, statistics, tables and a page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from segloom.config.comparison import ComparisonPlan
from segloom.config.data import DataConfig
from segloom.config.engine import Engine, EngineOptions
from segloom.config.evaluation import EvalConfig
from segloom.config.load import list_recipes, load_run_config
from segloom.config.run import RunConfig
from segloom.errors import ConfigError

if TYPE_CHECKING:
    from segloom.comparison import Comparison
    from segloom.comparison.plan import Cell

__all__ = ["CompareOptions", "RunsOptions", "run"]

USAGE = """\
usage: segloom compare RECIPE[,RECIPE ...] [--architectures A,B]
               [--enhancements none X Y+Z] [--seeds 0..4] [--out DIR]
       segloom compare PLAN.yaml           the same from a file
       segloom compare RUN RUN ...         finished runs, or NAME=FOLDER of label PNGs
       segloom compare --status DIR        how far a comparison is

  RECIPE  one of {recipes}, or a YAML file;
          its own options (--data.root DIR) hold for all cells
"""

PLAIN_SECONDS = 30.0
"""Time between two progress lines where there is no terminal."""


@dataclass
class CompareOptions:
    """Train and test every combination, then say what helps and how sure that is.

    The same command goes on with a comparison that was stopped.
    """

    plan: Annotated[ComparisonPlan, arg(name="")] = field(default_factory=ComparisonPlan)
    """What is compared."""
    out: Path | None = None
    """Folder of the cells, the tables and the page; None is lab/<recipe>."""
    engine: Engine = "local"
    """local: in processes of their own on this machine; inline: in this one; ray: on a Ray cluster;
    slurm: as Slurm jobs, on a file system that they share."""
    workers: int | None = None
    """Cells at once: processes of this machine that share its cores (None is 1), or Slurm jobs
    (None is 256)."""
    options: Annotated[EngineOptions, arg(name="")] = field(default_factory=EngineOptions)
    """Of Ray and Slurm."""
    pictures: int = 3
    """Images that the page shows for every comparison, the most improved and as many of the most
    worsened; 0 shows none, for pages that may be published without pictures of a data set."""
    dry_run: bool = False
    """Show the cells, each with its expected time and memory from a short probe, and stop."""


@dataclass
class RunsOptions:
    """Compare finished runs, of segloom or of any program as label PNGs."""

    out: Path = Path("comparison")
    """Folder of the tables and the page."""
    baseline: str | None = None
    """Kind that the others are compared with; None is "none", or the first."""
    config: Annotated[EvalConfig, arg(name="eval")] = field(default_factory=EvalConfig)
    """What is measured on label PNGs, and which split of the runs is compared."""
    data: DataConfig = field(default_factory=DataConfig)
    """Truth of the label PNGs; for runs of segloom where their data lies now."""
    pictures: int = 3
    """Images that the page shows for every comparison, the most improved and as many of the most
    worsened; 0 shows none, for pages that may be published without pictures of a data set."""


def run(words: Sequence[str]) -> int:
    """Compare, print the tables and return the exit code: 1 if a cell failed."""
    words = list(words)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE.format(recipes=", ".join(list_recipes())))
        if not words:
            raise ConfigError(
                "name a recipe, for example `segloom compare camvid --data.root DIR`."
            )
        from segloom.cli.options import parse

        parse(CompareOptions, words, verb="compare RECIPE")
    if words[0] == "--status":
        return _status(words[1:])
    places = [word for word in _leading(words) if not _is_recipe(word)]
    return _compare_runs(words) if places else _compare_plan(words)


def _leading(words: Sequence[str]) -> list[str]:
    """Take the words before the first option."""
    taken = []
    for word in words:
        if word.startswith("-"):
            break
        taken.append(word)
    return taken


def _is_recipe(word: str) -> bool:
    is_file = word.endswith((".yaml", ".yml"))
    return is_file or all(name in list_recipes() for name in word.split(","))


def _compare_plan(words: Sequence[str]) -> int:
    plan, options = _read_plan(words)
    _check_pictures(options.pictures)
    _check_plan(plan)
    folder = options.out or Path("lab") / "-".join(plan.recipes)
    from segloom.comparison import compare
    from segloom.comparison.local import ComparisonStopped

    if options.dry_run:
        return _dry_run(plan, folder, options.workers or 1)
    try:
        with _progress() as show:
            result = compare(
                plan,
                folder,
                engine=options.engine,
                workers=options.workers,
                pictures=options.pictures,
                options=options.options,
                on_change=show,
            )
    except ComparisonStopped:
        print("segloom: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return _print(result)


def _check_plan(plan: ComparisonPlan) -> None:
    """Refuse names that do not exist: a misspelt one would be found when its cell fails."""
    from segloom.cli.train import check_names

    sets = [name for name in plan.enhancements if name.partition("=")[0] not in ("none", "control")]
    enhancements = tuple(part.strip() for name in sets for part in name.split("+"))
    for recipe in plan.recipes.values():
        for architecture in plan.architectures or (recipe.model.architecture,):
            update = {"architecture": architecture, "enhancements": enhancements}
            model = recipe.model.model_copy(update=update)
            check_names(recipe.model_copy(update={"model": model}))


def _dry_run(plan: ComparisonPlan, folder: Path, workers: int) -> int:
    """Print what every cell will take; nothing of the comparison is written."""
    import tempfile

    from segloom.comparison.budget import budgeted_cells, kind, probe_cells
    from segloom.comparison.plan import make_cells

    with tempfile.TemporaryDirectory() as scratch:
        probes = probe_cells(make_cells(plan, folder), Path(scratch))
        cells = budgeted_cells(plan, Path(scratch))
    total, peak = 0.0, 0.0
    for cell in cells:
        found = probes[kind(cell)]
        if isinstance(found, str):
            print(f"{cell.id:<60} cannot run: {found}")
            continue
        seconds = found.seconds(cell.config)
        total, peak = total + seconds, max(peak, found.memory_gib or 0)
        memory = "" if found.memory_gib is None else f"{found.memory_gib:.1f} GiB"
        print(f"{cell.id:<60} {seconds / 60:7.1f} min  {memory}")
    print(
        f"{len(cells)} cells, about {total / 3600:.1f} hours of work; with {workers} worker(s) at "
        f"once {total / 3600 / workers:.1f} hours and {peak * workers:.1f} GiB, if each has cores "
        "of its own"
    )
    return 0 if total else 1


def _read_plan(words: Sequence[str]) -> tuple[ComparisonPlan, CompareOptions]:
    """Divide the words: those of the plan, and those of the recipes' own options."""
    import dataclasses

    from segloom.cli.options import divide, parse

    first, rest = words[0], list(words[1:])
    base = ComparisonPlan()
    recipes: dict[str, str | RunConfig] = {name: name for name in first.split(",")}
    if first.endswith((".yaml", ".yml")):
        base, recipes = _load_plan(Path(first))
    own, shared = divide(rest)
    default = CompareOptions(plan=base)
    options = parse(CompareOptions, own, verb="compare", default=default)
    configs = {}
    for name, recipe in recipes.items():
        loaded = recipe if isinstance(recipe, RunConfig) else load_run_config(recipe)
        configs[name] = parse(RunConfig, shared, verb="compare", default=loaded)
    values = options.plan.model_dump() | {"recipes": configs}
    plan = ComparisonPlan.model_validate(values)
    return plan, dataclasses.replace(options, plan=plan)


def _load_plan(path: Path) -> tuple[ComparisonPlan, dict[str, str | RunConfig]]:
    """Read a plan: the keys of the options, and ``recipes``, names or name to options.

    Raises:
        ConfigError: It cannot be read, or holds what no plan has.
    """
    from pydantic import ValidationError

    from segloom.config.load import explain, read_values, read_yaml

    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a plan, such as enhancements: and recipes:.")
    if "recipes" not in values:  # a recipe of the user's own
        if of_plans := [key for key in values if key in ComparisonPlan.model_fields]:
            raise ConfigError(
                f"{path} has {of_plans[0]} as a plan, but no recipes; add recipes: with one or "
                f"more of {', '.join(list_recipes())}."
            )
        return ComparisonPlan(), {path.stem: load_run_config(path)}
    recipes = values.pop("recipes")
    if isinstance(recipes, str):
        recipes = [recipes]
    if isinstance(recipes, list):
        recipes = {str(name): {} for name in recipes}
    try:
        plan = ComparisonPlan.model_validate(values)
    except ValidationError as error:
        raise explain(error, str(path)) from error
    return plan, {
        name: read_values({"extends": name, **(options or {})}, path)
        for name, options in recipes.items()
    }


def _compare_runs(words: Sequence[str]) -> int:
    from segloom.cli.options import parse

    runs = _leading(words)
    options = parse(RunsOptions, words[len(runs) :], verb="compare RUN RUN")
    from segloom.comparison import compare_runs

    if len(runs) < 2:
        hint = ", ".join(list_recipes())
        raise ConfigError(
            f"{runs[0]} is neither a recipe ({hint}) nor a YAML file; a comparison of finished "
            "runs needs two or more."
        )
    _check_pictures(options.pictures)
    result = compare_runs(
        runs,
        options.out,
        baseline=options.baseline,
        data=None if options.data == DataConfig() else options.data,
        config=options.config,
        pictures=options.pictures,
    )
    return _print(result)


def _check_pictures(number: int) -> None:
    if number < 0:
        raise ConfigError(f"pictures is 0 (none) or more, not {number}; mend --pictures.")


def _status(words: Sequence[str]) -> int:
    from segloom.comparison.budget import budgeted_cells
    from segloom.comparison.plan import read_plan
    from segloom.comparison.status import read_status

    if len(words) != 1:
        raise ConfigError("name the folder of a comparison, `segloom compare --status DIR`.")
    folder = Path(words[0])
    states = read_status(budgeted_cells(read_plan(folder), folder))
    for status in states:
        epochs = f"{status.epochs} of {status.cell.config.train.epochs} epochs"
        score = "" if status.miou is None else f"mIoU {100 * status.miou:.2f} %"
        print(f"{status.state:<8} {status.cell.id:<60} {epochs:<18} {score}{status.cause}")
    done = sum(status.state == "done" for status in states)
    print(f"{done} of {len(states)} cells are done")
    return 0


def _print(result: Comparison) -> int:
    from segloom.comparison.tables import markdown

    print(markdown(result.values))
    for group in result.values["groups"]:
        for pair in group["pairs"]:
            name = f"{group['architecture']} + {pair['variant']}"
            print(f"{name}: {pair['verdict']} - {pair['sentence']}")
    print(f"written to {result.folder}: {', '.join(result.files)}")
    lost = [cell for g in result.values["groups"] for row in g["rows"] for cell in row["missing"]]
    for cell in lost:
        print(f"segloom: {cell['name']} {cell['state']}: {cell['cause']}", file=sys.stderr)
    return 1 if lost else 0


@contextmanager
def _progress() -> Iterator[Callable[[Sequence[Cell]], None]]:
    """Show how many cells are done: a bar on a terminal, now and then a line elsewhere."""
    import time

    from segloom.comparison.status import read_status

    last = [-PLAIN_SECONDS, -1.0]

    def describe(cells: Sequence[Cell]) -> tuple[float, str]:
        states = read_status(cells)
        done = sum(status.state in ("done", "failed") for status in states)
        running = [status for status in states if status.state == "running"]
        parts = [
            f"{status.cell.id} {status.epochs}/{status.cell.config.train.epochs}"
            for status in running
        ]
        share = sum(status.epochs / status.cell.config.train.epochs for status in running)
        return done + min(share, len(running) * 0.99), "; ".join(parts)

    def plain(cells: Sequence[Cell]) -> None:
        now = time.monotonic()
        if now - last[0] < PLAIN_SECONDS:
            return
        last[0] = now
        done, text = describe(cells)
        if done != last[1]:
            last[1] = done
            print(f"{int(done)} of {len(cells)} cells done. {text}", file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield plain
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def show(cells: Sequence[Cell]) -> None:
            done, text = describe(cells)
            bar.update(task, completed=done, total=len(cells), description=text)

        yield show
