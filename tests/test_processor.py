"""What the processor can do, as Linux says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from segloom.processor import bfloat16_is_fast


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\n", False),
        ("", False),
    ],
)
def test_processor_flags_tell_bfloat16(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert bfloat16_is_fast(tmp_path / "cpuinfo") is expected


def test_unknown_processor_has_no_bfloat16(tmp_path: Path) -> None:
    assert bfloat16_is_fast(tmp_path / "missing") is False
