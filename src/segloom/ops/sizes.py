"""Arithmetic with sizes that an exported program keeps open."""

from __future__ import annotations

from typing import cast

import torch

__all__ = ["larger_size"]


def larger_size(size: int, other: int) -> int:
    """Return the larger of two, whichever it is later: a tracer may settle Python's ``max``."""
    return cast("int", torch.sym_max(size, other))  # in an export a SymInt, which acts as one
