"""Turn command-line words into typed options; every verb parses through `parse`."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from difflib import get_close_matches
from typing import Any, TypeVar

import tyro
from pydantic import ValidationError

from segloom.errors import ConfigError

__all__ = ["divide_words", "flags", "parse"]

Options = TypeVar("Options")

SECTIONS = ("data", "eval", "inference", "loss", "model", "optim", "train")
"""First words of dotted options."""
BOOLEANS = {"True": True, "true": True, "False": False, "false": False}


def parse(
    options: type[Options], words: Sequence[str], *, verb: str, default: Options | None = None
) -> Options:
    """Read ``words`` into an instance of ``options``, a dataclass or a pydantic model.

    Raises:
        ConfigError: An option is unknown (the nearest one is named), lacks its value or is
            missing, or a value cannot be read or is out of its range.
    """
    arguments: dict[str, Any] = {} if default is None else {"default": default}
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            parsed: Options = tyro.cli(
                options, args=flags(words), prog=f"segloom {verb}", **arguments
            )
    except ValidationError as error:
        raise _explain(error, "the command line") from error
    except SystemExit as stop:
        # For a value out of range tyro prints pydantic's own text; the cause says it shorter.
        problem = stop.__context__
        if problem is not None and isinstance(problem.__context__, ValidationError):
            section = str(problem.args[1]) if len(problem.args) > 1 else ""
            cause = problem.__context__
            raise _explain(cause, "the command line", section=section) from cause
        if stop.code in (0, None):  # --help
            raise
        raise ConfigError(_sentence(complaint.getvalue(), f"segloom {verb}")) from None
    return parsed


def _explain(error: ValidationError, place: str, *, section: str = "") -> ConfigError:
    from segloom.config.load import explain_invalid  # loads the options of everything

    return explain_invalid(error, place, section=section)


def _sentence(box: str, program: str) -> str:
    """Describe in one sentence what tyro draws as a box."""
    parts = _parts(box)
    more = f"`{program} --help` tells more."
    unknown = next((part for part in parts if part.startswith("Unrecognized options:")), None)
    if unknown is not None:
        words = re.split(r"[,\s]+", unknown.partition(":")[2].strip())
        return _unknown(words, "\n".join(part for part in parts if part is not unknown), more)
    first = parts[0].partition("\n\nGot errors:")[0]
    if first.startswith("Missing from"):
        names = re.findall(r"^ {4}(\S.*)", first, re.MULTILINE)
        return f"`{program}` needs {' and '.join(names)}; {more}"
    return f"{' '.join(first.split()).rstrip('.')}; {more}"


def _parts(box: str) -> list[str]:
    """Take the text out of a box, whose parts are divided by rules."""
    box = re.sub(r"\x1b\[[0-9;]*m", "", box)  # on a terminal it is coloured
    lines = [line[2:].rstrip("│").rstrip() for line in box.splitlines()[1:]]
    rules = [bool(line) and set(line.strip()) <= set("─-╯") for line in lines]
    text = "\n".join("" if rule else line for line, rule in zip(lines, rules, strict=True))
    return [part for part in re.split(r"\n{2,}", text.strip("\n")) if part]


def _unknown(words: Sequence[str], others: str, more: str) -> str:
    """Describe which words no option takes, and the nearest option among those of ``others``."""
    option = next((word for word in words if word.startswith("-")), None)
    if option is None:
        return f"too many words: {', '.join(words)}; {more}"
    known = re.findall(r"^ +(--[\w.-]+)", others, re.MULTILINE)
    near = get_close_matches(option, known, n=1, cutoff=0.5)
    return f"unknown option '{option}'" + (f": did you mean '{near[0]}'?" if near else f"; {more}")


def flags(words: Sequence[str]) -> list[str]:
    """Accept the spellings that users bring along.

    ``data.root=DIR`` is ``--data.root DIR``; ``--json True`` is ``--json`` and ``--data.cache
    False`` is ``--data.no-cache``. True and False among several values are left as they are.
    """
    found: list[str] = []
    for word, following in zip(words, [*words[1:], "--"], strict=False):
        is_alone = following.startswith("-") or following.partition(".")[0] in SECTIONS
        key, separator, value = word.partition("=")
        # Only what begins with a section is an option: frame.v=2.png is a file.
        if separator and _is_dotted(key):
            found += flags([f"--{key}", value])
        elif word in BOOLEANS and is_alone and found and found[-1].startswith("--"):
            found[-1] = found[-1] if BOOLEANS[word] else _turned_off(found[-1])
        else:
            found.append(word)
    return found


def _is_dotted(name: str) -> bool:
    return name.partition(".")[0] in SECTIONS and "." in name


def _turned_off(flag: str) -> str:
    section, _, name = flag.removeprefix("--").rpartition(".")
    return f"--{section}.no-{name}" if section else f"--no-{name}"


def divide_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide words into a command's own options and those of a recipe, whose names have a dot."""
    own: list[str] = []
    shared: list[str] = []
    target = own
    for word in words:
        if word.startswith("-") or word.partition(".")[0] in SECTIONS:
            name = word.lstrip("-").partition("=")[0]
            target = shared if _is_dotted(name) else own
        target.append(word)
    return own, shared
