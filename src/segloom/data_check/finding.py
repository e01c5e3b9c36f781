"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """Something that the user should know."""

    level: str
    """``problem``: the data must be fixed; ``note``: the options take care of it."""
    kind: str
    """A short fixed name, such as ``off-by-one``."""
    message: str
    """One or two sentences."""
    files: tuple[str, ...] = ()
    """Files, or sentences about files."""
