"""Measures by name: ours below, others by `segloom.plugins`.

Ours are always counted as far as the options of `EvalConfig` ask for them; one of another package
is counted where ``eval.measures`` names it.
"""

from __future__ import annotations

from importlib import import_module

from segloom.config.evaluation import EvalConfig
from segloom.errors import ConfigError, UnknownNameError
from segloom.evaluation.measures.base import Measure
from segloom.plugins import find_plugin, plugin_places

__all__ = ["MEASURES", "configured_measures", "find_measure", "our_measures"]

MEASURES = {
    "labels": "segloom.evaluation.measures.labels:LabelMeasure",
    "regions": "segloom.evaluation.measures.regions:RegionMeasure",
    "size": "segloom.evaluation.measures.sizes:SizeMeasure",
    "boundary": "segloom.evaluation.measures.boundary:BoundaryMeasure",
    "davis_boundary": "segloom.evaluation.measures.davis:DavisMeasure",
}
"""Name to ``module:class`` of the `Measure`, in the order in which they are shown."""


def find_measure(name: str) -> type[Measure]:
    """Return the measure called ``name``.

    Raises:
        UnknownNameError: No measure has this name.
        ConfigError: The package or the file that brings it cannot be loaded.
    """
    found: type[Measure] | None
    if name in MEASURES:
        module, _, attribute = MEASURES[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        found = find_plugin("measures", name)
    if found is None:
        raise UnknownNameError("measure", name, {**MEASURES, **plugin_places("measures")})
    return found


def our_measures() -> list[type[Measure]]:
    """Return the measures of this package, in the order in which they are shown."""
    return [find_measure(name) for name in MEASURES]


def configured_measures(config: EvalConfig) -> list[Measure]:
    """Make every measure that a configuration asks for, ours first.

    Raises:
        UnknownNameError: ``eval.measures`` names one that is not known.
        ConfigError: It names one of ours, whose options are those of ``eval``, or an option of a
            measure is refused.
    """
    for name in config.measures:
        if name in MEASURES:
            raise ConfigError(
                f"eval.measures names {name}, which is always known; its options are those of "
                "eval, such as eval.size_limits."
            )
    kinds = [*our_measures(), *map(find_measure, config.measures)]
    return [measure for kind in kinds if (measure := kind.configured(config)) is not None]
