"""The base of what is called around the steps of a training."""

from __future__ import annotations

from lightning.pytorch import Callback

__all__ = ["Hook"]


class Hook(Callback):  # type: ignore[misc]  # mypy does not read Lightning, see pyproject.toml
    """A Lightning callback; the one place where its missing types are waved through."""
