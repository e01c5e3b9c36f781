"""The protocol of a comparison: what its runs have in common, and where finished runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from segloom.comparison.results import Measured
from segloom.config.run import RunConfig

__all__ = ["describe_conditions", "list_differences"]

COMPARED = {"model": {"architecture", "encoder_name", "encoder_weights", "options"}}
"""Options that may be the very thing that is compared."""
FREE = {
    "data": {"workers", "cache"},
    "train": {"threads", "tensorboard", "resume", "overwrite"},
    "eval": {"montages", "predictions", "bootstrap"},
}
"""Options that change no score."""


def describe_conditions(
    configs: dict[str, RunConfig], measured: Sequence[Measured], seeds: Sequence[int]
) -> dict[str, Any]:
    """State the protocol: what all cells share, so that a reader can judge and repeat it."""
    from segloom.training.environment import describe_environment

    first = measured[0].facts if measured else {}
    found = [_environment(run.path) for run in measured]
    environments = [values for values in found if values] or [describe_environment()]
    return {
        "seeds": list(seeds),
        "policy": first.get("policy"),
        "inference": first.get("inference"),
        "protocols": {name: _protocol(config) for name, config in configs.items()},
        "versions": {
            name: _distinct(values["packages"].get(name) for values in environments)
            for name in environments[0]["packages"]
        },
        "processor": _distinct(values["processor"] for values in environments),
        "accelerators": sorted(
            {name for values in environments for name in values["accelerators"]}
        ),
    }


def _environment(run: Path) -> dict[str, Any] | None:
    """Read what a run was made with; None for label PNGs and damaged files."""
    try:
        values = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = {"packages": {}, "processor": "", "accelerators": []}
    return known | values if isinstance(values, dict) else None


def _distinct(values: Iterable[str | None]) -> str:
    return " and ".join(dict.fromkeys(value for value in values if value))


def _protocol(config: RunConfig) -> dict[str, Any]:
    """Give the options of a run without what differs by design, and without places."""
    values = config.model_dump(mode="json", exclude={"data": {"root", "cache_dir"}})
    for section, name in (("train", "out"), ("train", "seed"), ("model", "enhancements")):
        del values[section][name]
    weights = config.model.encoder_weights
    values["model"]["encoder_weights"] = Path(weights).name if weights else None
    return values


def list_differences(configs: dict[str, RunConfig]) -> list[str]:
    """Say in what finished runs on the same data differ besides what is compared."""
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    found = []
    for name, config in configs.items():
        values = _protocol(config)
        other, expected = first.setdefault(config.data.name, (name, values))
        for section, options in values.items():
            ignored = COMPARED.get(section, set()) | FREE.get(section, set())
            found += [
                f"{section}.{key} is {value} in {name}, {expected[section][key]} in {other}"
                for key, value in options.items()
                if key not in ignored and value != expected[section][key]
            ]
    return found
