"""Shallow, narrow models of timm's real classes under their real names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import timm

from segloom.models.encoders.facts import encoder_facts

__all__ = ["SMALL", "small_encoders"]

_VIT = {"depth": 4, "embed_dim": 48, "num_heads": 2}
_STAGES = {"depths": (1, 1, 1, 1), "embed_dim": 12}
SMALL: dict[str, dict[str, Any]] = {
    "swin_tiny_patch4_window7_224": _STAGES,
    "swinv2_tiny_window8_256": _STAGES,
    "hiera_tiny_224": {"stages": (1, 1, 1, 1), "embed_dim": 12},
    "hiera_small_abswin_256": {"stages": (1, 1, 1, 1), "embed_dim": 12},
    "vit_small_patch14_dinov2": _VIT,
    "vit_small_patch16_dinov3": _VIT,
    "vit_base_patch16_siglip_224": _VIT,
}
"""timm's name to the arguments that make its model small."""


@contextmanager
def small_encoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let timm build them in the block; yields its function."""
    create = timm.create_model

    def create_small(name: str, *args: Any, **options: Any) -> Any:
        return create(name, *args, **{**SMALL.get(name, {}), **options})

    encoder_facts.cache_clear()
    monkeypatch.setattr(timm, "create_model", create_small)
    yield create_small
    encoder_facts.cache_clear()
