"""Networks: any architecture on any encoder with any enhancements.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segloom.lazy import lazy_names

if TYPE_CHECKING:
    from segloom.models.architectures import (
        ARCHITECTURES,
        Architecture,
        list_architectures,
        list_encoders,
    )
    from segloom.models.build import build_model, create_model
    from segloom.models.model import SegmentationModel
    from segloom.models.weights.checkpoint import (
        from_pretrained,
        load_weights,
        push_to_hub,
        save_pretrained,
    )

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
    "from_pretrained": "segloom.models.weights.checkpoint",
    "list_architectures": "segloom.models.architectures",
    "list_encoders": "segloom.models.architectures",
    "load_weights": "segloom.models.weights.checkpoint",
    "push_to_hub": "segloom.models.weights.checkpoint",
    "save_pretrained": "segloom.models.weights.checkpoint",
}

__getattr__ = lazy_names(__name__, _HOMES)
