"""Turn command-line words into typed options; every verb parses through `parse`."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any, TypeVar

__all__ = ["flags", "parse"]

Options = TypeVar("Options")

SECTIONS = ("data", "eval", "inference", "loss", "model", "optim", "train")
"""First words of dotted options."""


def parse(
    options: type[Options], words: Sequence[str], *, verb: str, default: Options | None = None
) -> Options:
    """Read ``words`` into an instance of ``options``, a dataclass or a pydantic model.

    Unknown flags end the program with the nearest right one and exit code 2.

    Raises:
        ConfigError: A value is of the right kind but out of its range.
    """
    import tyro
    from pydantic import ValidationError

    from segloom.config.load import explain

    arguments: dict[str, Any] = {} if default is None else {"default": default}
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            parsed: Options = tyro.cli(
                options, args=flags(words), prog=f"segloom {verb}", **arguments
            )
    except ValidationError as error:
        raise explain(error, "the command line") from error
    except SystemExit as stop:
        # For a value out of range tyro prints pydantic's own text; the cause says it shorter.
        problem = stop.__context__
        if problem is not None and isinstance(problem.__context__, ValidationError):
            section = str(problem.args[1]) if len(problem.args) > 1 else ""
            cause = problem.__context__
            raise explain(cause, "the command line", section=section) from cause
        sys.stderr.write(complaint.getvalue())
        raise
    return parsed


def flags(words: Sequence[str]) -> list[str]:
    """Accept the spellings that users bring along.

    ``data.root=DIR`` is ``--data.root DIR``; ``--json True`` is ``--json`` and ``--data.cache
    False`` is ``--data.no-cache``. True and False among several values are left as they are.
    """
    found: list[str] = []
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else "--"
        is_alone = following.startswith("-") or following.partition(".")[0] in SECTIONS
        key, separator, value = word.partition("=")
        # Only what begins with a section is an option: frame.v=2.png is a file.
        if separator and key.partition(".")[0] in SECTIONS and key.count("."):
            found += flags([f"--{key}", value])
        elif word in ("True", "true") and is_alone and found and found[-1].startswith("--"):
            continue
        elif word in ("False", "false") and is_alone and found and found[-1].startswith("--"):
            section, _, name = found[-1].removeprefix("--").rpartition(".")
            found[-1] = f"--{section}.no-{name}" if section else f"--no-{name}"
        else:
            found.append(word)
    return found
