"""Names that anybody may have chosen."""

from __future__ import annotations

import pytest

from segloom.errors import ConfigError
from segloom.text import markdown_cell, printable
from segloom.types import LabelSet


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Straße 3.png", "Straße 3.png"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb", r"a\nb"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),  # turns the order of the letters round
        ("a\udcff", r"a\udcff"),  # a byte that is no UTF-8
    ],
)
def test_what_is_no_letter_is_written_as_its_code(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_lines_of_a_message_stay() -> None:
    assert printable("a\nb\r", keeps_lines=True) == "a\nb\\r"


def test_a_cell_of_markdown_holds_one_line_of_text() -> None:
    assert markdown_cell("<b>|\n\x1b`x`") == r"&lt;b>\| \`x\`"


def test_class_names_hold_no_control_characters() -> None:
    with pytest.raises(ConfigError, match=r"'a\\x1b\[31m' holds control characters; rename it"):
        LabelSet(("a\x1b[31m",), ((0, 0, 0),))
