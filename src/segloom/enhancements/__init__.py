"""Enhancements by name: ours below, others by `segloom.plugins`.

A plug-in names a subclass of `EnhancementConfig`. Importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from math import isfinite
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from segloom.config.problems import describe_problem
from segloom.errors import ConfigError, UnknownNameError
from segloom.lazy import lazy_names
from segloom.plugins import find_plugin, plugin_places

if TYPE_CHECKING:
    from segloom.enhancements.base import Enhancement, EnhancementConfig

__all__ = [
    "ENHANCEMENTS",
    "Enhancement",
    "EnhancementConfig",
    "enhancement_class",
    "enhancement_config",
    "known_enhancements",
    "list_enhancements",
]

ENHANCEMENTS = {
    "afma": "segloom.enhancements.afma:AfmaConfig",
    "celt": "segloom.enhancements.celt:CeltConfig",
    "control": "segloom.enhancements.control:ControlConfig",
    "deep_supervision": "segloom.enhancements.deep_supervision:DeepSupervisionConfig",
    "dilation": "segloom.enhancements.dilation:DilationConfig",
    "dlinknet": "segloom.enhancements.dlinknet:DlinknetConfig",
    "edge_supervision": "segloom.enhancements.edge_supervision:EdgeSupervisionConfig",
    "fam": "segloom.enhancements.flow_align:FamConfig",
    "fem": "segloom.enhancements.fem:FemConfig",
    "hed": "segloom.enhancements.hed.enhancement:HedConfig",
    "se": "segloom.enhancements.se:SeConfig",
}
"""Name to ``module:class`` of the options."""

__getattr__ = lazy_names(
    __name__, dict.fromkeys(("Enhancement", "EnhancementConfig"), "segloom.enhancements.base")
)


def list_enhancements() -> list[str]:
    """Name every enhancement, those of other installed packages too."""
    return sorted(known_enhancements())


def enhancement_class(name: str) -> type[EnhancementConfig]:
    """Return the class of the options of the enhancement called ``name``.

    Raises:
        UnknownNameError: No enhancement has this name.
        ConfigError: The package or the file that brings it cannot be loaded.
    """
    if name in ENHANCEMENTS:
        module, _, attribute = ENHANCEMENTS[name].partition(":")
        found: type[EnhancementConfig] = getattr(import_module(module), attribute)
        return found
    config_class = find_plugin("enhancements", name)
    if config_class is None:
        raise UnknownNameError("enhancement", name, list_enhancements())
    from segloom.enhancements.base import EnhancementConfig

    if not (isinstance(config_class, type) and issubclass(config_class, EnhancementConfig)):
        raise ConfigError(
            f"the enhancement '{name}' is {config_class!r}; its plug-in must name a subclass of "
            "segloom.EnhancementConfig."
        )
    return config_class


def enhancement_config(name: str, **options: object) -> EnhancementConfig:
    """Make the options of the enhancement called ``name``.

    Raises:
        UnknownNameError: No enhancement or option has this name.
        ConfigError: An option has a value that the enhancement refuses.
    """
    config_class = enhancement_class(name)
    fields = config_class.__dataclass_fields__
    for option in options:
        if option not in fields:
            raise UnknownNameError(f"option of enhancement {name}", option, fields)
    try:
        config = TypeAdapter(config_class).validate_python(options)
    except ValidationError as error:
        problems = (
            describe_problem(problem, " ".join(map(str, problem["loc"])))
            for problem in error.errors()
        )
        raise ConfigError(f"enhancement {name}: {'; '.join(problems)}") from error
    if not (isfinite(config.loss_weight) and config.loss_weight >= 0):
        raise ConfigError(
            f"enhancement {name}: loss_weight must be 0 or more; got {config.loss_weight}."
        )
    return config


def known_enhancements() -> dict[str, str]:
    """Map every name to the ``module:class`` of its options."""
    return {**plugin_places("enhancements"), **ENHANCEMENTS}
