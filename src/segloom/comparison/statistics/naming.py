"""Names for runs that were given without any: the option in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segloom.config.load import read_config
from segloom.run_directory import RunDirectory

__all__ = ["name_by_difference"]

BESIDE = ("train.out", "train.seed", "train.threads", "data.workers", "data.cache", "eval.")
"""Beginnings of options by which no run is told from another."""


def name_by_difference(named: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Name runs of ours by the one option in which they differ, such as ``class_weights=none``.

    Args:
        named: Name, empty for none, and folder of every run.

    Returns:
        The same where a name was given, a run is not ours, enhancements or networks differ (which
        name runs by themselves), or there is not exactly one such option.
    """
    files = [RunDirectory(path).config for _, path in named]
    if len(named) < 2 or any(name for name, _ in named) or not all(f.is_file() for f in files):
        return list(named)
    options = [_flat(read_config(file).model_dump(mode="json")) for file in files]
    differing = [
        name
        for name in options[0]
        if not name.startswith(BESIDE) and any(o.get(name) != options[0][name] for o in options)
    ]
    if len(differing) != 1 or differing[0].startswith(("model.", "data.name", "data.root")):
        return list(named)
    option = differing[0].rpartition(".")[2]
    return [
        (f"{option}={_word(values.get(differing[0]))}", path)
        for values, (_, path) in zip(options, named, strict=True)
    ]


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict) and name != "terms":
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _word(value: object) -> str:
    if isinstance(value, dict):
        return "+".join(f"{name}:{number:g}" for name, number in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
