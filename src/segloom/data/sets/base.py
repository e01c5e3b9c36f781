"""What a data set tells the rest of the program: how it is read, recognised and configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from segloom.config.base import Section
from segloom.config.problems import describe_problem
from segloom.data.source import DatasetSource
from segloom.errors import ConfigError, UnknownNameError
from segloom.types import Place

if TYPE_CHECKING:
    from segloom.config.data import DataConfig

__all__ = ["DataSet", "own_options"]

OptionsT = TypeVar("OptionsT", bound=Section)


def name_or_map(wanted: Sequence[str], found: Sequence[str]) -> str:
    """Describe how data of other classes than a network's can be measured with it.

    Args:
        wanted: Names of the network's classes.
        found: Names of the classes of the data.
    """
    return (
        "name data with these classes, or say with data.label_map which stored value is which "
        "of them beside data.classes (data.classes alone only renames)."
    )


@dataclass(frozen=True)
class DataSet:
    """A data set; `segloom.data.readers.DATASETS` or an entry point names an instance.

    The names of its options are those of fields of `DataConfig`; other packages bring options of
    their own as a `Section`, which the user sets in the mapping ``data.options``.
    """

    read: Callable[[DataConfig, str], DatasetSource]
    """Reads a split, train, val or test; see `DatasetSource`."""
    is_here: Callable[[Path], bool] | None = None
    """Returns whether a folder holds the data set; None: it is never recognised."""
    options: frozenset[str] | None = frozenset()
    """Fields of `DataConfig` that this reader looks at and not every reader does; None: any."""
    Options: type[Section] | None = None
    """Options of its own, read with `own_options`; None: it has none."""
    needs_root: bool = True
    """Whether it lies in the folder ``data.root``."""
    default_recipe: str = "folder"
    """Packaged recipe that trains on it, with ``--data.name`` where the recipe names another."""
    names_classes: bool = True
    """Whether it knows its classes, so that a folder with classes of the user is not one."""
    recognised: Mapping[str, str] = field(default_factory=dict)
    """Options of `DataConfig` that read what `is_here` recognises, besides name and root."""
    reads_class_masks: bool = False
    """Whether it reads ``data.mask_format multilabel``, a mask file per class."""
    place: Callable[[str], Place] | None = None
    """Tells by the name of a sample which others it depends on; None: that is not in the name."""
    reads_group_fields: bool = False
    """Whether ``data.group_by`` may name fields of its annotation file."""
    fix_classes: Callable[[Sequence[str], Sequence[str]], str] = name_or_map
    """Says how data of other classes than a network's (first) is made to fit; ends a sentence."""


def own_options(config: DataConfig, options: type[OptionsT]) -> OptionsT:
    """Read the mapping ``data.options`` as the options of the data set that ``config`` names.

    Args:
        config: Its ``options`` hold values as YAML or the command line gives them.
        options: The class of the data set's options.

    Raises:
        UnknownNameError: An option has another name.
        ConfigError: A value is refused.
    """
    for name in config.options:
        if name not in options.model_fields:
            raise UnknownNameError(
                f"option of the data set {config.name}", name, options.model_fields
            )
    try:
        return options.model_validate(config.options)
    except ValidationError as error:
        problems = (
            describe_problem(problem, ".".join(("data.options", *map(str, problem["loc"]))))
            for problem in error.errors()
        )
        raise ConfigError("; ".join(problems)) from error
