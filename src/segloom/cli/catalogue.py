"""``segloom list archs|encoders|enhancements|losses|recipes``: what there is, by name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from segloom.errors import ConfigError

__all__ = ["ListOptions", "run"]

Kind = Literal["archs", "encoders", "enhancements", "losses", "recipes"]


@dataclass
class ListOptions:
    """Show names that the other commands take."""

    kind: Positional[Kind]
    """What to list."""
    pattern: str = "*"
    """Only names that match, for example "*efficientnet*"."""
    json: bool = False
    """Print a JSON list."""
    matrix: bool = False
    """With enhancements: build each with every architecture, which takes a while, and print a table
    in Markdown of what fits what, and why not."""


def run(words: Sequence[str]) -> int:
    """Print the names of one kind, one per line."""
    from fnmatch import fnmatch

    from segloom.cli.options import parse

    options = parse(ListOptions, words, verb="list")
    if options.matrix:
        if options.kind != "enhancements":
            raise ConfigError("--matrix goes with `segloom list enhancements`.")
        _print_matrix(as_json=options.json)
        return 0
    names = [name for name in SOURCES[options.kind]() if fnmatch(name, options.pattern)]
    print(json.dumps(names) if options.json else "\n".join(names))
    return 0


def _print_matrix(*, as_json: bool) -> None:
    from segloom.cli.progress import progress_bar

    with progress_bar("building", "networks") as bar:
        if bar is None:
            print("building every architecture with every enhancement ...", file=sys.stderr)
        from segloom.models.matrix import fit_matrix, markdown_table  # loads torch

        cells = fit_matrix(bar)
    print(json.dumps([c._asdict() for c in cells]) if as_json else markdown_table(cells))


def _archs() -> list[str]:
    from segloom.models import list_architectures

    return list_architectures()


def _encoders() -> list[str]:
    from segloom.models import list_encoders

    return list_encoders()


def _enhancements() -> list[str]:
    from segloom.enhancements import list_enhancements

    return list_enhancements()


def _losses() -> list[str]:
    from segloom.losses import list_losses

    return list_losses()


def _recipes() -> list[str]:
    from segloom.config.load import list_recipes

    return list(list_recipes())


SOURCES: dict[str, Callable[[], list[str]]] = {
    "archs": _archs,
    "encoders": _encoders,
    "enhancements": _enhancements,
    "losses": _losses,
    "recipes": _recipes,
}
