"""What all sections of the configuration share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from tyro.constructors import PrimitiveConstructorSpec

from segloom.errors import ConfigError

__all__ = ["Section", "pairs"]


class Section(BaseModel):
    """A frozen group of options; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    if not TYPE_CHECKING:  # a type checker says it by itself, since the class is frozen

        def __setattr__(self, name: str, value: object) -> None:
            raise ConfigError(
                f"options are not changed in place; make a configuration with another '{name}' by "
                "config.override(data_root=..., epochs=...)."
            )


def pairs(
    read: Callable[[str], object], metavar: str
) -> PrimitiveConstructorSpec[dict[str, object]]:
    """Let a mapping be given on the command line as ``name value name value``.

    Args:
        read: Turns one value's text into the value.
        metavar: How the help shows a pair.

    Raises:
        ValueError: From the parser, when a name has no value.
    """

    def from_words(words: list[str]) -> dict[str, object]:
        if len(words) % 2:
            raise ValueError(f"expected name value pairs, got {' '.join(words)}")
        return {name: read(value) for name, value in zip(words[::2], words[1::2], strict=True)}

    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=metavar,
        instance_from_str=from_words,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [
            word for name, item in value.items() for word in (name, str(item))
        ],
    )
