"""``segloom compare``: does an enhancement truly help? Cells, statistics, tables and a page."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ValidationError
from tyro.conf import arg

from segloom.cli.options import divide_words, parse
from segloom.cli.train import check_names
from segloom.comparison.cells.budget import budgeted_cells
from segloom.comparison.cells.plan import read_plan
from segloom.comparison.cells.status import read_status
from segloom.comparison.engines.local import ComparisonStopped
from segloom.comparison.statistics.tables import markdown
from segloom.config.comparison import SMALLEST_GAIN, ComparisonPlan
from segloom.config.data import DataConfig
from segloom.config.engine import Engine, EngineOptions
from segloom.config.evaluation import EvalConfig
from segloom.config.load import (
    explain_invalid,
    list_recipes,
    load_run_config,
    read_values,
    read_yaml,
)
from segloom.config.run import RunConfig
from segloom.errors import ConfigError
from segloom.report.comparison_words import network, sentence
from segloom.terminal import Pace, progress_bar

if TYPE_CHECKING:
    from segloom.comparison import Comparison
    from segloom.comparison.cells.plan import Cell

__all__ = ["CompareOptions", "RunsOptions", "run"]

HELP = {"-h", "--help"}
USAGE = """\
usage: segloom compare RECIPE[,RECIPE ...] [--architectures A,B]
               [--enhancements none X Y+Z] [--seeds 0..4] [--out DIR]
       segloom compare PLAN.yaml           the same from a file
       segloom compare RUN RUN ...         finished runs, or NAME=FOLDER of label PNGs
       segloom compare --status DIR        how far a comparison is
       segloom compare --publish DIR TO    the same in another folder, without weights and images

  RECIPE  one of {recipes}, or a YAML file;
          its own options (--data.root DIR) hold for all cells
"""


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
    spread: Literal["moderated", "plain"] = "moderated"
    """moderated: the spread between seeds is estimated from all comparisons together, which finds
    smaller gains with few seeds; plain: from the seeds of each comparison alone."""
    dry_run: bool = False
    """Show the cells, each with its expected time and memory from a short probe, and the seeds that
    find the smallest gain, and stop."""
    spread_from: Path | None = None
    """Folder of an earlier study whose spread between seeds --dry-run takes; None takes that of the
    cells of this comparison that are done."""


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
    spread: Literal["moderated", "plain"] = "moderated"
    """moderated: the spread between seeds is estimated from all comparisons together, which finds
    smaller gains with few seeds; plain: from the seeds of each comparison alone."""
    smallest_gain: float = SMALLEST_GAIN
    """Smallest gain of interest, in points of mIoU: what surely lies between minus and plus this is
    called practically equal."""


def run(words: Sequence[str]) -> int:
    """Compare, print the tables and return the exit code: 1 if a cell failed."""
    words = list(words)
    if not words or HELP & set(words):
        print(USAGE.format(recipes=", ".join(list_recipes())))
        if not words:
            raise ConfigError(
                "name a recipe, for example `segloom compare camvid --data.root DIR`."
            )
        if words[0] in HELP:
            parse(CompareOptions, words, verb="compare RECIPE")
    if words[0] == "--status":
        return _status(words[1:])
    if words[0] == "--publish":
        return _publish(words[1:])
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

    if options.dry_run:
        from segloom.cli.dry_run import dry_run

        return dry_run(plan, folder, workers=options.workers or 1, spread_from=options.spread_from)
    try:
        with _progress() as show:
            result = compare(
                plan,
                folder,
                engine=options.engine,
                workers=options.workers,
                pictures=options.pictures,
                spread=options.spread,
                options=options.options,
                on_change=show,
            )
    except ComparisonStopped:
        print("segloom: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return _print(result)


def _check_plan(plan: ComparisonPlan) -> None:
    """Refuse names that do not exist: a misspelt one would be found when its cell fails."""
    sets = [name for name in plan.enhancements if name.partition("=")[0] not in ("none", "control")]
    enhancements = tuple(part.strip() for name in sets for part in name.split("+"))
    for recipe in plan.recipes.values():
        for architecture in plan.architectures or (recipe.model.architecture,):
            update = {"architecture": architecture, "enhancements": enhancements}
            model = recipe.model.model_copy(update=update)
            check_names(recipe.model_copy(update={"model": model}))


def _read_plan(words: Sequence[str]) -> tuple[ComparisonPlan, CompareOptions]:
    """Divide the words: those of the plan, and those of the recipes' own options."""
    first, rest = words[0], list(words[1:])
    base = ComparisonPlan()
    recipes: dict[str, str | RunConfig] = {name: name for name in first.split(",")}
    if first.endswith((".yaml", ".yml")):
        base, recipes = _load_plan(Path(first))
    own, shared = divide_words(rest)
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
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a plan, such as enhancements: and recipes:.")
    if "recipes" not in values:
        _check_no_plan(values, path)
        return ComparisonPlan(), {path.stem: load_run_config(path)}
    recipes = values.pop("recipes")
    if isinstance(recipes, str):
        recipes = [recipes]
    if isinstance(recipes, list):
        recipes = {str(name): {} for name in recipes}
    try:
        plan = ComparisonPlan.model_validate(values)
    except ValidationError as error:
        raise explain_invalid(error, str(path)) from error
    return plan, {
        name: read_values(_recipe_options(name, options or {}), path)
        for name, options in recipes.items()
    }


def _check_no_plan(values: Mapping[str, object], path: Path) -> None:
    """Make sure that a file without recipes is a recipe of the user's own."""
    if of_plans := [key for key in values if key in ComparisonPlan.model_fields]:
        raise ConfigError(
            f"{path} has {of_plans[0]} as a plan, but no recipes; add recipes: with one or "
            f"more of {', '.join(list_recipes())}."
        )


def _recipe_options(name: str, options: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a plan's recipe; one of the user's own stands there as a whole."""
    is_own = bool(options) and name not in list_recipes()
    return {**({} if is_own else {"extends": name}), **options}


def _compare_runs(words: Sequence[str]) -> int:
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
    if not 0 < options.smallest_gain <= 100:
        raise ConfigError(
            f"the smallest gain is above 0 and at most 100 points, not {options.smallest_gain:g}; "
            "fix --smallest-gain."
        )
    result = compare_runs(
        runs,
        options.out,
        baseline=options.baseline,
        data=None if options.data == DataConfig() else options.data,
        config=options.config,
        pictures=options.pictures,
        smallest_gain=options.smallest_gain,
        spread=options.spread,
    )
    return _print(result)


def _check_pictures(number: int) -> None:
    if number < 0:
        raise ConfigError(f"pictures is 0 (none) or more, not {number}; fix --pictures.")


def _status(words: Sequence[str]) -> int:
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


def _publish(words: Sequence[str]) -> int:
    from segloom.comparison import publish

    if len(words) != 2:
        raise ConfigError(
            "name the folder of a comparison and where it goes, `segloom compare --publish DIR TO`."
        )
    folder, to = map(Path, words)
    _print(publish(folder, to))
    print(f"segloom compare {to / 'plan.yaml'} --data.root DIR --out {to} goes on from it")
    return 0


def _print(result: Comparison) -> int:
    found = result.result
    print(markdown(found))
    for group in found.groups:
        for pair in group.pairs:
            print(f"{network(group, pair.variant)}: {sentence(found, group, pair)}")
    print(f"written to {result.folder}: {', '.join(result.files)}")
    lost = [cell for group in found.groups for row in group.rows for cell in row.missing]
    for cell in lost:
        print(f"segloom: {cell.name} {cell.state}: {cell.cause}", file=sys.stderr)
    return 1 if lost else 0


@contextmanager
def _progress() -> Iterator[Callable[[Sequence[Cell]], None]]:
    """Show how many cells are done: a bar on a terminal, now and then a line elsewhere."""
    pace, last = Pace(), [-1.0]

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
        if not pace.is_due():
            return
        done, text = describe(cells)
        if done != last[0]:
            last[0] = done
            print(f"{int(done)} of {len(cells)} cells done. {text}", file=sys.stderr, flush=True)

    with progress_bar(text_last=True, stays=True) as bar:
        if bar is None:
            yield plain
            return

        def show(cells: Sequence[Cell]) -> None:
            done, text = describe(cells)
            bar(done, len(cells), text)

        yield show
