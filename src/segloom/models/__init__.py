"""Networks: any architecture on any encoder with any enhancements."""

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
