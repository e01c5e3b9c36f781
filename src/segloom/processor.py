"""What the processor of this machine can do, found out without torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["bfloat16_is_fast"]

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Processor flags, as Linux names them: x86 and, last, ARM."""


@cache
def bfloat16_is_fast(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor multiplies bfloat16 itself; False where that is not known.

    `torch.backends.cpu.get_cpu_capability` does not tell: it names AVX512 with and without it.
    """
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = (line.split(":", 1)[1] for line in lines if line.startswith(("flags", "Features")))
    return not BF16_FLAGS.isdisjoint(next(flags, "").split())
