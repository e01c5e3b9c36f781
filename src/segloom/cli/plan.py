"""``segloom plan RECIPE``: what the labels look like, what they suggest to try, and a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from segloom.cli.train import resolve
from segloom.comparison.suggest.profile import profile_labels
from segloom.comparison.suggest.proposal import CAVEAT, suggest, suggested_plan
from segloom.config.load import list_recipes
from segloom.errors import ConfigError
from segloom.files import parse_json, write_text
from segloom.terminal import progress_bar

if TYPE_CHECKING:
    from segloom.comparison.suggest.profile import LabelProfile
    from segloom.comparison.suggest.proposal import Suggestion

__all__ = ["run"]

USAGE = """\
usage: segloom plan RECIPE [--SECTION.OPTION VALUE ...] [--out PLAN.yaml] [--limit N]

  RECIPE       one of {recipes}, or a YAML file
  --out FILE   write a plan for `segloom compare` that tests what is suggested
  --limit N    look at N label maps of the training set at most (500)
"""


def run(words: Sequence[str]) -> int:
    """Profile the training labels, print what they suggest, and write the plan."""
    words = list(words)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE.format(recipes=", ".join(list_recipes())))
        if not words:
            raise ConfigError("name a recipe, for example `segloom plan demo`.")
        return 0
    out, limit = _take(words, "--out"), _number(_take(words, "--limit") or "500")
    if out and not out.endswith((".yaml", ".yml")):
        raise ConfigError(f"a plan is a YAML file; end its name with .yaml, not {Path(out).name}.")
    config = resolve(words)
    from segloom.data import build_dataset

    dataset = build_dataset(config.data.model_copy(update={"cache": False}), "train")
    with progress_bar("looking", "label maps") as show:
        profile = profile_labels(dataset, limit=limit, on_progress=show or (lambda *_: None))
    suggestions = suggest(profile, config)
    _print_profile(profile)
    _print_suggestions(suggestions)
    if out:
        plan = suggested_plan(Path(words[0]).stem, config, suggestions)
        _write(Path(out), plan.model_dump_json())
        print(f"next: segloom compare {out} --dry-run")
    return 0


def _take(words: list[str], name: str) -> str | None:
    """Take an option and its value out of the words."""
    for index, word in enumerate(words):
        if word == name:
            if index + 1 == len(words):
                raise ConfigError(f"{name} needs a value.")
            value = words[index + 1]
            del words[index : index + 2]
            return value
        if word.startswith(f"{name}="):
            return words.pop(index).partition("=")[2]
    return None


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--limit is a number of label maps from 1, not {text}.")
    return int(text)


def _write(path: Path, plan: str) -> None:

    write_text(path, yaml.safe_dump(parse_json(plan), sort_keys=False, width=100))


def _print_profile(profile: LabelProfile) -> None:
    height, width = profile.image_size
    print(
        f"{profile.num_images} of {profile.total_images} label maps, {height} x {width} pixels in "
        f"the median, {100 * profile.void_share:.1f} % void; "
        f"{100 * profile.contour_share:.1f} % of the pixels touch another class"
    )
    table = Table("class", box=None, pad_edge=False)
    for name in ("pixels", "in small objects", "objects", "small ones"):
        table.add_column(name, justify="right")
    for index, name in enumerate(profile.classes):
        objects = profile.objects[index]
        table.add_row(
            escape(name),
            f"{100 * profile.shares[index]:.2f} %",
            f"{100 * profile.small_shares[index]:.0f} %",
            str(objects.sum()),
            str(objects[:2].sum()),
        )
    Console(highlight=False).print(table)


def _print_suggestions(suggestions: Sequence[Suggestion]) -> None:
    console = Console(highlight=False)
    for item in suggestions:
        console.print(f"\n[bold]{escape(item.name)}[/bold]")
        for text in (item.evidence, item.basis):
            console.print(Padding(escape(text), (0, 0, 0, 2)))
    if not suggestions:
        console.print("\nNothing in these labels speaks for one enhancement rather than another.")
    console.print(f"\n{CAVEAT}\n")
