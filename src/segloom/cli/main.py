"""The ``segloom`` program: a table of verbs, each in a file imported only when asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from segloom.errors import SegloomError, describe_system_error
from segloom.text import printable

__all__ = ["VERBS", "main"]

VERBS = {
    "train": "train a network from a recipe",
    "eval": "measure a run on a split and write its report",
    "predict": "label images",
    "export": "write a network as a file that runs without torch",
    "serve": "answer over HTTP",
    "compare": "find out what an enhancement is worth",
    "plan": "see what a data set's labels suggest to compare",
    "tune": "search options for the best validation score",
    "report": "draw a run's training curves and write its reports anew",
    "submit": "write a submission to a benchmark's server",
    "data": "check or download a data set",
    "edges": "find the edges of photographs with HED, or train it",
    "convert": "read a checkpoint of the original programs",
    "list": "show architectures, encoders, enhancements, losses and so on",
    "new": "write a package with an enhancement of your own to start from",
    "doctor": "check the installation",
}
"""Verb to its one-line help; ``segloom.cli.<verb>`` holds ``run(words) -> exit code``."""

MODULES = {"eval": "evaluate", "list": "catalogue"}
"""Verbs whose file cannot have their name."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; return 0 for success, 1 for a failed check, 2 for bad input, 130 if stopped."""
    words = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    files = _take_plugins(words)
    if not words or words[0] in ABOUT:
        print(ABOUT[words[0] if words else "--help"]())
        return 0
    return _run_guarded(words, files, debug=debug)


def _run_guarded(words: Sequence[str], files: Sequence[str], *, debug: bool) -> int:
    """Run a verb and turn what goes wrong into a sentence and an exit code."""
    try:
        return _run(*words, files=files)
    except SegloomError as error:
        if debug:
            raise
        print(f"segloom: {printable(error, keeps_lines=True)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: not an error, and nothing to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("segloom: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        sentence = describe_system_error(error)
        if debug or sentence is None:
            raise
        print(f"segloom: {printable(sentence)}", file=sys.stderr)
        return 2


def _run(verb: str, *words: str, files: Sequence[str]) -> int:
    from segloom.plugins import plugin_files

    if verb not in VERBS:
        from segloom.errors import UnknownNameError

        raise UnknownNameError("command", verb, VERBS)
    with plugin_files(files):
        module = import_module(f"segloom.cli.{MODULES.get(verb, verb)}")
        code: int = module.run(list(words))
        sys.stdout.flush()
        return code


def _take_plugins(words: list[str]) -> list[str]:
    """Remove ``--plugin FILE`` and ``--plugin=FILE`` wherever they stand, and return the files."""
    files: list[str] = []
    rest = iter([*words])
    words.clear()
    for word in rest:
        name, separator, value = word.partition("=")
        if name == "--plugin":
            files.append(value if separator else next(rest, ""))
        else:
            words.append(word)
    return files


def _help() -> str:
    lines = [f"  {verb:<10}{text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "usage: segloom COMMAND ...   (segloom COMMAND --help tells more)",
            "",
            *lines,
            "",
            "  --debug   show the traceback of an error",
            "  --plugin FILE  a Python file with enhancements, losses, ... of your own",
            "  --version show the version",
        ]
    )


def _version() -> str:
    from importlib.metadata import version

    return f"segloom {version('segloom')}"


ABOUT = {"-h": _help, "--help": _help, "--version": _version}
"""What is asked about the program as a whole, and who answers."""
