"""Networks: any architecture on any encoder with any enhancements.

Importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segloom.models.architectures import (
        ARCHITECTURES,
        Architecture,
        list_architectures,
        list_encoders,
    )
    from segloom.models.build import build_model, create_model
    from segloom.models.checkpoint import (
        from_pretrained,
        load_weights,
        push_to_hub,
        save_pretrained,
    )
    from segloom.models.model import SegmentationModel

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "SegmentationModel",
    "build_model",
    "create_model",
    "from_pretrained",
    "list_architectures",
    "list_encoders",
    "load_weights",
    "push_to_hub",
    "save_pretrained",
]

_HOMES = {
    "ARCHITECTURES": "segloom.models.architectures",
    "Architecture": "segloom.models.architectures",
    "SegmentationModel": "segloom.models.model",
    "build_model": "segloom.models.build",
    "create_model": "segloom.models.build",
    "from_pretrained": "segloom.models.checkpoint",
    "list_architectures": "segloom.models.architectures",
    "list_encoders": "segloom.models.architectures",
    "load_weights": "segloom.models.checkpoint",
    "push_to_hub": "segloom.models.checkpoint",
    "save_pretrained": "segloom.models.checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
