"""Networks: any architecture on any encoder with any enhancements."""

from segloom.models.architectures import (
    ARCHITECTURES,
    Architecture,
    list_architectures,
    list_encoders,
)
from segloom.models.build import build_model, create_model
from segloom.models.model import SegmentationModel

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "SegmentationModel",
    "build_model",
    "create_model",
    "list_architectures",
    "list_encoders",
]
