"""Options by keyword: ``data_root=...`` is ``data.root``, ``epochs=...`` the short form of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from segloom.errors import UnknownNameError

__all__ = ["SHORT_NAMES", "apply_overrides"]

SHORT_NAMES = {
    "root": "data.root",
    "epochs": "train.epochs",
    "batch_size": "data.batch_size",
    "crop": "data.crop",
    "lr": "optim.lr",
    "arch": "model.architecture",
    "encoder": "model.encoder_name",
    "enhancements": "model.enhancements",
    "license": "model.license",
    "out": "train.out",
    "seed": "train.seed",
}
"""Short form to full name of the options that most trainings set."""

WHOLE = ("terms", "options", "label_map", "lists")
"""Mappings that are one value: who gives them means those entries alone."""


def apply_overrides(
    root: type[BaseModel], values: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Set options in the values of a configuration, without checking what is set.

    Args:
        root: The configuration's class, whose sections name the options.
        values: Nested values by name; they are not changed.
        options: Value by keyword: a short name, or the full name with underscores for dots
            (``data_root``, ``data_augment_flip``). A mapping given for a section sets the options
            that it names and leaves the others.

    Raises:
        UnknownNameError: There is no such option.
    """
    full = {path.replace(".", "_"): path for path in _paths(root)}
    known = {**full, **SHORT_NAMES}
    result = {**values}
    for name, value in options.items():
        if name not in known:
            raise UnknownNameError("option", name, known)
        *sections, last = known[name].split(".")
        target = result
        for section in sections:
            target[section] = {**target.get(section, {})}
            target = target[section]
        if isinstance(value, BaseModel):
            value = value.model_dump()
        if isinstance(value, Mapping) and _is_section(root, known[name]):
            value = _merged(target.get(last, {}), value)
        target[last] = value
    return result


def _paths(section: type[BaseModel]) -> list[str]:
    """Name every section and option, with dots between."""
    paths: list[str] = []
    for name, field in section.model_fields.items():
        paths.append(name)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            paths += [f"{name}.{path}" for path in _paths(inner)]
    return paths


def _is_section(root: type[BaseModel], path: str) -> bool:
    section: Any = root
    for part in path.split("."):
        section = section.model_fields[part].annotation
    return isinstance(section, type) and issubclass(section, BaseModel)


def _merged(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    merged = {**old}
    for name, value in new.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and name not in WHOLE:
            value = _merged(below, value)
        merged[name] = value
    return merged
