"""What every cell of a matrix of architectures and enhancements must do beside learning."""

from __future__ import annotations

from segloom.testing import (
    ON_TRANSFORMERS,
    check_compiles,
    check_copies,
    check_exports,
    small_encoder,
)

__all__ = [
    "ON_TRANSFORMERS",
    "check_compiles",
    "check_copies",
    "check_exports",
    "small_encoder",
    "small_level",
]


def small_level(architecture: str) -> int:
    """Choose a level that matters: a transformer's maps start at level 1, all at stride 16."""
    return {"dpt": 2, "eomt": 1, "linear": 1}.get(architecture, 3)
