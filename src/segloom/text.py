"""Names that anybody may have chosen, made fit for a terminal and for Markdown."""

from __future__ import annotations

import re

__all__ = ["markdown_cell", "printable"]


def printable(value: object, *, keeps_lines: bool = False) -> str:
    r"""Write control characters, and bytes of a file name that are no text, as escapes (``\x1b``).

    A name could otherwise colour, clear or forge the output of a terminal.

    Args:
        value: A name or a sentence that quotes one.
        keeps_lines: Leave line breaks as they are.
    """
    return "".join(
        c if c.isprintable() or (keeps_lines and c == "\n") else _escape(c) for c in str(value)
    )


def markdown_cell(value: object) -> str:
    """Write a value so that it shows as it is, and stays in its cell, in a Markdown table."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return re.sub(r"([\\`|\[\]])", r"\\\1", text).replace("<", "&lt;")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
