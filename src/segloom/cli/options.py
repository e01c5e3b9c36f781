"""Turn command-line words into typed options; every verb parses through `parse`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import tyro

__all__ = ["parse"]

Options = TypeVar("Options")


def parse(
    options: type[Options], words: Sequence[str], *, verb: str, default: Options | None = None
) -> Options:
    """Read ``words`` into an instance of ``options``, a dataclass or a pydantic model.

    Unknown flags end the program with the nearest right one and exit code 2.
    """
    arguments = {} if default is None else {"default": default}
    return tyro.cli(
        options,
        args=list(words),
        prog=f"segloom {verb}",
        config=(tyro.conf.FlagConversionOff,),
        **arguments,
    )
