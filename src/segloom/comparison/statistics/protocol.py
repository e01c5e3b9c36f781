"""The protocol of a comparison: what its runs have in common, and where finished runs differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from segloom.comparison.statistics.results import Measured
from segloom.config.run import RunConfig
from segloom.files import parse_json
from segloom.training.environment import describe_environment

__all__ = ["describe_conditions", "list_differences"]

COMPARED = {"model": {"architecture", "encoder_name", "encoder_weights", "options"}}
"""Options that may be the very thing that is compared."""
FREE = {
    "data": {"workers", "cache"},
    "train": {"threads", "tensorboard", "resume", "overwrite"},
}
"""Options that change no score."""


def describe_conditions(
    configs: dict[str, RunConfig], measured: Sequence[Measured], seeds: Sequence[int]
) -> dict[str, Any]:
    """State the protocol: what all cells share, so that a reader can judge and repeat it."""
    found = [_environment(run.path) for run in measured]
    environments = [values for values in found if values]
    if not environments and (configs or not measured):  # nothing is trained yet
        environments = [describe_environment()]
    policies = [run.facts["policy"] for run in measured if run.facts.get("policy")]
    recipes = dict.fromkeys([*configs, *(run.group.recipe for run in measured)])
    return {
        "seeds": list(seeds),
        "policy": " ".join(dict.fromkeys(policies)) or None,
        "protocols": {name: _stated(name, configs.get(name), measured) for name in recipes},
        "versions": {
            name: _distinct(values["packages"].get(name) for values in environments)
            for name in (environments[0]["packages"] if environments else ())
        },
        "processor": _distinct(values["processor"] for values in environments),
        "accelerators": sorted(
            {name for values in environments for name in values["accelerators"]}
        ),
    }


def _environment(run: Path) -> dict[str, Any] | None:
    """Read what a run was made with; None for label PNGs and damaged files."""
    try:
        values = parse_json((run / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known: dict[str, Any] = {"packages": {}, "processor": "", "accelerators": []}
    if not isinstance(values, dict):
        return None
    fitting = {k: v for k, v in values.items() if isinstance(v, type(known.get(k, v)))}
    return known | fitting


def _distinct(values: Iterable[str | None]) -> str:
    return " and ".join(dict.fromkeys(value for value in values if value))


def _stated(recipe: str, config: RunConfig | None, measured: Sequence[Measured]) -> dict[str, Any]:
    """Give the options of a recipe, as far as they are known, with those that it was tested by."""
    run = next((run for run in measured if run.group.recipe == recipe), None)
    values = {} if config is None else _protocol(config)
    if run is None:
        return values
    if config is not None:  # what is compared differs between the cells
        own = [other.group for other in measured if other.group.recipe == recipe]
        values["model"]["architecture"] = ", ".join(dict.fromkeys(g.architecture for g in own))
        values["model"]["encoder_name"] = ", ".join(dict.fromkeys(g.encoder for g in own))
    if config is None:  # label PNGs: nothing is known of their training
        values = {"data": {"name": run.data.name if run.data else recipe}, "eval": {}}
    values["eval"]["split"] = run.split
    if "inference" in run.facts:
        values["eval"]["inference"] = run.facts["inference"]
    return values


def _protocol(config: RunConfig) -> dict[str, Any]:
    """Return the options of a run without what differs by design, and without places."""
    values = config.model_dump(mode="json", exclude={"data": {"root", "cache_dir"}})
    for section, name in (("train", "out"), ("train", "seed"), ("model", "enhancements")):
        del values[section][name]
    weights = config.model.encoder_weights
    values["model"]["encoder_weights"] = Path(weights).name if weights else None
    return values


def list_differences(configs: dict[str, RunConfig], measured: Sequence[Measured]) -> list[str]:
    """Describe in what finished runs on the same data differ besides what is compared.

    Args:
        configs: Options of the runs, by their path.
        measured: The runs; what they were tested with counts, not what their options say.
    """
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    found = []
    for run in measured:
        name = str(run.path)
        if name not in configs:
            continue
        values = _protocol(configs[name])
        values["eval"] = {"inference": run.facts.get("inference")}
        other, expected = first.setdefault(configs[name].data.name, (name, values))
        for section, options in values.items():
            ignored = COMPARED.get(section, set()) | FREE.get(section, set())
            found += [
                f"{section}.{key} is {value} in {name}, {expected[section][key]} in {other}"
                for key, value in options.items()
                if key not in ignored and value != expected[section][key]
            ]
    return found
