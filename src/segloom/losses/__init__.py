"""Losses of logits against labels; void pixels take part in none of them."""

from segloom.losses.catalogue import LOSSES, build_loss, list_losses
from segloom.losses.combine import SegmentationLosses, build_losses
from segloom.losses.void import mask_void

__all__ = [
    "LOSSES",
    "SegmentationLosses",
    "build_loss",
    "build_losses",
    "list_losses",
    "mask_void",
]
