"""From a plan to its cells: every combination of network, enhancements and seed.

DIR/plan.yaml              the plan, with every option of every recipe
DIR/cells/<cell>/          a run directory, as `segloom train` and `segloom eval` write it
DIR/cells/<cell>/cell.json what came of it: done, or failed and why
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from segloom.config.comparison import NONE, ComparisonPlan
from segloom.config.load import explain_invalid
from segloom.config.run import RunConfig
from segloom.errors import ConfigError
from segloom.files import parse_yaml, write_text
from segloom.training.from_data import choose_options

__all__ = [
    "FREE",
    "Cell",
    "Group",
    "flat_options",
    "make_cells",
    "open_plan",
    "plan_conditions",
    "read_plan",
    "settle_recipes",
]

CONTROL = "control"


@dataclass(frozen=True)
class Group:
    """What the cells that are compared with each other have in common."""

    recipe: str
    architecture: str
    encoder: str

    def __str__(self) -> str:
        return f"{self.architecture} {self.encoder} on {self.recipe}"


@dataclass(frozen=True)
class Cell:
    """One training and one test."""

    id: str
    """Name of its folder."""
    group: Group
    variant: str
    """The set of enhancements as the plan names it."""
    seed: int
    config: RunConfig
    """Everything that is trained and tested."""

    @property
    def path(self) -> Path:
        """Its run directory."""
        return self.config.train.out or Path(self.id)


def open_plan(plan: ComparisonPlan, folder: Path) -> None:
    """Write ``plan.yaml``, or make sure that the folder holds this plan or a part of it.

    A plan may grow (more seeds, more sets): the cells that are done stay.

    Raises:
        ConfigError: The folder holds something else.
    """
    path = folder / "plan.yaml"
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(
                f"{folder} is not empty and holds no plan; choose another folder with --out."
            )
        if folder.is_file():
            raise ConfigError(f"{folder} is a file; choose another folder with --out.")
    else:
        earlier = read_plan(folder)
        changed = _differences(_conditions(earlier), _conditions(plan))
        if changed:
            raise ConfigError(
                f"{folder} was begun under other conditions: {'; '.join(changed)}; go on with "
                f"`segloom compare {path} --out {folder}`, or choose another folder with --out."
            )
    values = plan.model_dump(mode="json")
    write_text(path, yaml.safe_dump(values, sort_keys=False, width=100))


def settle_recipes(plan: ComparisonPlan) -> ComparisonPlan:
    """Give the options that follow from the data their values, which all cells of a recipe share.

    Raises:
        DataError: The training images cannot be found.
    """
    recipes = {name: choose_options(config) for name, config in plan.recipes.items()}
    return plan.model_copy(update={"recipes": recipes})


def read_plan(folder: Path) -> ComparisonPlan:
    """Read the ``plan.yaml`` of a folder.

    Raises:
        ConfigError: There is none, or it is damaged.
    """
    path = folder / "plan.yaml"
    try:
        return ComparisonPlan.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(
            f"{folder} holds no plan.yaml; name the folder of a comparison, or start one with "
            "`segloom compare RECIPE --out DIR`."
        ) from error
    except ValidationError as error:
        raise explain_invalid(error, str(path)) from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.") from error


def make_cells(plan: ComparisonPlan, folder: Path) -> list[Cell]:
    """List the cells, seed by seed, so that an unfinished table is an even one.

    Raises:
        ConfigError: The plan names no data set, or a control cannot be sized.
    """
    if not plan.recipes:
        raise ConfigError("the plan names no recipe, for example `segloom compare camvid`.")
    cells: list[Cell] = []
    for seed in plan.seeds:
        for recipe, base in plan.recipes.items():
            for architecture in plan.architectures or (base.model.architecture,):
                for encoder in plan.encoders or (base.model.encoder_name,):
                    group = Group(recipe, architecture, encoder)
                    cells += [
                        _cell(plan, folder, group, variant, seed) for variant in plan.enhancements
                    ]
    if len({cell.id for cell in cells}) < len(cells):
        raise ConfigError("two cells of this plan would have the same folder; shorten its names.")
    return cells


def _cell(plan: ComparisonPlan, folder: Path, group: Group, variant: str, seed: int) -> Cell:
    base = plan.recipes[group.recipe]
    name = _identifier(group, variant, seed)
    model = base.model.model_copy(
        update={"architecture": group.architecture, "encoder_name": group.encoder}
    )
    training = base.train.model_copy(
        update={
            "seed": seed,
            "out": folder / "cells" / name,
            **({"epochs": plan.epochs} if plan.epochs else {}),
        }
    )
    # Label maps are kept, so that the report can show what changed; montages would be of one cell.
    evaluation = base.eval.model_copy(update={"predictions": True, "montages": 0})
    config = base.model_copy(update={"model": model, "train": training, "eval": evaluation})
    config = config.model_copy(
        update={"model": model.model_copy(update={"enhancements": _names(plan, config, variant)})}
    )
    return Cell(name, group, variant, seed, config)


def _identifier(group: Group, variant: str, seed: int) -> str:
    words = [group.recipe, group.architecture, group.encoder, variant, f"seed{seed}"]
    name = "-".join(re.sub(r"[^\w.+-]+", "_", word) for word in words)
    if len(name) <= 120:
        return name
    return f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _names(plan: ComparisonPlan, config: RunConfig, variant: str) -> tuple[str, ...]:
    """Return the enhancements of a set by name, a control with its number of parameters."""
    if variant == NONE:
        return ()
    if variant != CONTROL and not variant.startswith(f"{CONTROL}="):
        return tuple(part.strip() for part in variant.split("+"))
    like = variant.partition("=")[2]
    others = [name for name in plan.enhancements if name.partition("=")[0] not in (NONE, CONTROL)]
    if not others:
        raise ConfigError(
            "control has nothing to match; name another set of enhancements beside it, or how many "
            "parameters it shall add: control:parameters=100000."
        )
    extra = max(_extra_parameters(config, name) for name in ([like] if like else others))
    if extra < 1:
        raise ConfigError(f"{like or ', '.join(others)} adds no parameters, so control has none.")
    return (f"{CONTROL}:parameters={extra}",)


_PARAMETERS: dict[tuple[object, ...], int] = {}
"""Parameters of networks that were built already to count them."""


def _extra_parameters(config: RunConfig, variant: str) -> int:
    """Count what a set adds to the plain network; 0 if it cannot be built there."""
    from segloom.data import build_dataset
    from segloom.models import create_model

    classes = len(build_dataset(config.data, "train").classes)
    counts = []
    for enhancements in (tuple(variant.split("+")), ()):
        model = config.model
        key = (model.architecture, model.encoder_name, str(model.options), classes, enhancements)
        if key not in _PARAMETERS:
            try:
                network = create_model(
                    model.architecture,
                    encoder_name=model.encoder_name,
                    in_channels=model.in_channels,
                    classes=classes,
                    enhancements=enhancements,
                    **model.options,
                )
            except ConfigError:  # its own cell says why
                return 0
            _PARAMETERS[key] = sum(parameter.numel() for parameter in network.parameters())
        counts.append(_PARAMETERS[key])
    return counts[0] - counts[1]


def _conditions(plan: ComparisonPlan) -> dict[str, object]:
    """Return what every cell of a folder has in common, flat: option to value."""
    values: dict[str, object] = {
        "epochs": plan.epochs,
        "steps": plan.steps,
        "minutes": plan.minutes,
    }
    for name, recipe in plan.recipes.items():
        options = _without_place(flat_options(recipe))
        values |= {f"{name}: {key}": value for key, value in options.items()}
    return values


def _without_place(options: Mapping[str, object]) -> dict[str, object]:
    """Name files of encoder weights without their folder: they may lie elsewhere another day."""
    weights = options.get("model.encoder_weights")
    return {**options, "model.encoder_weights": Path(str(weights)).name if weights else None}


def plan_conditions(plan: ComparisonPlan) -> dict[str, object]:
    """Return everything that a plan fixes before its first cell, flat: option to value."""
    unsaid = set() if plan.tuning else {"tuning"}
    values = plan.model_dump(mode="json", exclude={"recipes", "seeds", *unsaid})
    return values | {
        name: value for name, value in _conditions(plan).items() if not name.endswith(FREE)
    }


def flat_options(recipe: RunConfig) -> dict[str, object]:
    """Return the options of a recipe as plain values by their dotted names, two words each."""
    return {
        f"{section}.{key}": value
        for section, options in recipe.model_dump(mode="json").items()
        if isinstance(options, Mapping)
        for key, value in options.items()
    }


FREE = ("data.root", "data.workers", "data.cache", "data.cache_dir", "train.threads")
"""Options that do not change what a cell comes to."""


def _differences(earlier: dict[str, object], now: dict[str, object]) -> list[str]:
    return [
        f"{name} was {earlier[name]!r}, is {now[name]!r}"
        for name in earlier
        if name in now and earlier[name] != now[name] and not name.endswith(FREE)
    ]
