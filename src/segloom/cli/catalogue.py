"""``segloom list archs|encoders|enhancements|losses|...``: what there is, by name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from segloom.cli.options import parse
from segloom.config.load import list_recipes
from segloom.data.readers import reader_names
from segloom.enhancements import list_enhancements
from segloom.errors import ConfigError
from segloom.evaluation.measures import MEASURES
from segloom.plugins import KINDS, find_plugin, plugin_places
from segloom.terminal import progress_bar

if TYPE_CHECKING:
    from segloom.models.matrix import EncoderCell, Fit

__all__ = ["ListOptions", "run"]

Kind = Literal[
    "archs", "encoders", "enhancements", "losses", "recipes", "datasets", "measures", "transforms"
]
LONG = 24
"""Names of one kind that are shown where no kind is asked for."""
EXPORTS = """
yes: they fit, and `segloom export` writes them as ONNX and for OpenVINO, for any batch, height and
width, with the answers of the network; where it does not, the table says so and why."""
PLUGINS = {"archs": "architectures"}
"""Kinds of plug-ins that have another name here."""


@dataclass
class ListOptions:
    """Show names that the other commands take."""

    kind: Positional[Kind | None] = None
    """What to list; without it all kinds, the long ones shortened."""
    pattern: str = "*"
    """Only names that match, for example "*efficientnet*"."""
    json: bool = False
    """Print a JSON list."""
    matrix: bool = False
    """With enhancements or encoders: build each enhancement, or an encoder of each family, with
    every architecture, which takes minutes, and print a table in Markdown of what fits what and
    exports, and why not."""
    details: bool = False
    """With encoders: print parameters, multiply-adds, strides, the licence of the weights and what
    decoders need. Each is built for that, without memory for its weights."""
    license: Literal["any", "permissive"] = "any"
    """With encoders: only those whose default weights timm states to be under a permissive
    licence."""


def run(words: Sequence[str]) -> int:
    """Print the names of one kind, one per line."""
    options = parse(ListOptions, words, verb="list")
    _check_options(options)
    if options.matrix:
        _print_matrix(options.kind, as_json=options.json)
        return 0
    kinds = [options.kind] if options.kind else list(SOURCES)
    found = {kind: [n for n in _working(kind) if fnmatch(n, options.pattern)] for kind in kinds}
    if options.license == "permissive":
        found = {kind: _permissive(names) for kind, names in found.items()}
    if options.details:
        _print_details(found["encoders"], as_json=options.json)
    else:
        _print_names(found, options)
    return 0


def _print_names(found: dict[str, list[str]], options: ListOptions) -> None:
    names = found.get(options.kind or "", [])
    if options.json:
        print(json.dumps(names if options.kind else found))
    elif options.kind:
        print("\n".join(names))
    else:
        for kind, every in found.items():
            more = f" ... {len(every)} in all: segloom list {kind}" if every[LONG:] else ""
            print(f"{kind}: {' '.join(every[:LONG]) or '-'}{more}")


def _working(kind: str) -> list[str]:
    """Name what there is but for plug-ins that cannot be loaded, which are told."""
    names, group = SOURCES[kind](), PLUGINS.get(kind, kind)
    for name in plugin_places(group) if group in KINDS else ():
        try:
            find_plugin(group, name)
        except ConfigError as error:
            print(f"segloom: {error}", file=sys.stderr)
            names = [other for other in names if other != name]
    return names


def _check_options(options: ListOptions) -> None:
    if options.matrix and options.kind not in ("enhancements", "encoders"):
        raise ConfigError(
            "--matrix goes with `segloom list enhancements` and `segloom list encoders`."
        )
    for name, is_given in (
        ("details", options.details),
        ("license", options.license != "any"),
    ):
        if is_given and options.kind != "encoders":
            raise ConfigError(f"--{name} goes with `segloom list encoders`.")


def _print_matrix(kind: Kind | None, *, as_json: bool) -> None:
    what = "enhancement" if kind == "enhancements" else "family of encoders"
    with progress_bar("building", "networks") as bar:
        if bar is None:
            print(f"building every architecture with every {what} ...", file=sys.stderr)
        from segloom.exports.matrix import export_matrix, exported_encoders  # loads torch
        from segloom.models.matrix import markdown_table

        cells: Sequence[Fit | EncoderCell] = (
            export_matrix(bar) if kind == "enhancements" else exported_encoders(bar)
        )
    if as_json:
        print(json.dumps([cell._asdict() for cell in cells]))
        return
    print(markdown_table(cells))
    if kind == "enhancements":
        print(EXPORTS)


def _permissive(names: list[str]) -> list[str]:
    from segloom.models.weights.licence import PERMISSIVE, weights_licence

    return [name for name in names if weights_licence(name) in PERMISSIVE]


def _print_details(names: list[str], *, as_json: bool) -> None:
    """Print a line per encoder as soon as it is measured, or all as JSON."""
    from segloom.models.encoders.inventory import encoder_details  # loads torch

    if as_json:
        print(json.dumps([encoder_details(name)._asdict() for name in names]))
        return
    width = max([len(name) for name in names], default=0)
    for name in names:
        found = encoder_details(name)
        strides = "/".join(str(stride) for stride in found.strides)
        print(
            f"{name:<{width}}  {found.parameters / 1e6:7.1f} M parameters  "
            f"{found.multiply_adds / 1e9:7.2f} G multiply-adds at {found.side}x{found.side}  "
            f"licence {found.licence or 'not stated'}  strides {strides}  "
            f"decoders: {found.decoders}",
            flush=True,
        )


def _archs() -> list[str]:
    from segloom.models import list_architectures

    return list_architectures()


def _encoders() -> list[str]:
    from segloom.models import list_encoders

    return list_encoders()


def _enhancements() -> list[str]:
    return list_enhancements()


def _losses() -> list[str]:
    from segloom.losses import list_losses

    return list_losses()


def _recipes() -> list[str]:
    return list(list_recipes())


def _datasets() -> list[str]:
    return sorted(reader_names())


def _measures() -> list[str]:
    return [*MEASURES, *sorted(plugin_places("measures").keys() - MEASURES.keys())]


def _transforms() -> list[str]:
    return sorted(plugin_places("transforms"))


SOURCES: dict[str, Callable[[], list[str]]] = {
    "archs": _archs,
    "encoders": _encoders,
    "enhancements": _enhancements,
    "losses": _losses,
    "recipes": _recipes,
    "datasets": _datasets,
    "measures": _measures,
    "transforms": _transforms,
}
