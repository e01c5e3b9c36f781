"""Names of a network's enhancements, from whatever form they are asked for in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from torch import nn

from segloom.config.model import parse_enhancement
from segloom.enhancements import enhancement_config, known_enhancements
from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError

__all__ = ["AS_MODULE", "EnhancementLike", "base_name", "name_enhancements"]

AS_MODULE = "given as a module"
"""Stands in a saved spec for options that are not known."""

EnhancementLike = str | Mapping[str, Mapping[str, object]] | EnhancementConfig | Enhancement


def name_enhancements(
    enhancements: Sequence[EnhancementLike] | EnhancementLike | None,
) -> dict[str, EnhancementConfig | Enhancement]:
    """Give every enhancement its name; the second of a kind is called ``<name>_2``.

    Raises:
        UnknownNameError: An enhancement does not exist.
        ConfigError: One is of none of the four forms, its options are not known, or its name is
            taken in PyTorch.
    """
    if enhancements is None:
        return {}
    items = list(enhancements) if isinstance(enhancements, list | tuple) else [enhancements]
    named: dict[str, EnhancementConfig | Enhancement] = {}
    for name, part in chain.from_iterable(map(_read, items)):
        if "." in name or hasattr(nn.ModuleDict(), name):
            raise ConfigError(
                f"an enhancement cannot be called {name}, which means something else in PyTorch; "
                f"give it another name, such as {name.replace('.', '_')}_block."
            )
        count = sum(key == name or base_name(key) == name for key in named)
        named[name if count == 0 else f"{name}_{count + 1}"] = part
    return named


def _read(item: object) -> Iterator[tuple[str, EnhancementConfig | Enhancement]]:
    """Return what one of the four forms asks for, with the name of its kind."""
    if isinstance(item, str):
        name, options = parse_enhancement(item)
        yield name, enhancement_config(name, **options)
    elif isinstance(item, Mapping):
        for saved, values in item.items():
            name = base_name(saved)  # a saved name such as afma_2 is the second afma
            yield name, enhancement_config(name, **_options(saved, values))
    elif isinstance(item, EnhancementConfig | Enhancement):
        yield _class_name(item), item
    else:
        raise ConfigError(
            f"an enhancement is a name, a mapping, a configuration or a module; got {item!r}."
        )


def _options(name: str, options: object) -> dict[str, object]:
    if options == AS_MODULE:
        raise ConfigError(
            f"enhancement {name} was attached as a module, whose options were not saved; pass the "
            "same one as enhancements=."
        )
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(f"options of enhancement {name} are a mapping; got {options!r}.")
    return dict(options or {})


def base_name(name: str) -> str:
    """Take the number off the name of a second enhancement of a kind."""
    base, separator, number = name.rpartition("_")
    is_numbered = separator and number.isdigit() and name not in known_enhancements()
    return base if is_numbered else name


def _class_name(part: EnhancementConfig | Enhancement) -> str:
    kind = type(part)
    path = f"{kind.__module__}:{kind.__qualname__}"
    registered = (name for name, value in known_enhancements().items() if value == path)
    return next(registered, kind.__name__.removesuffix("Config").lower())
