"""The last layer of the pyramid networks."""

from __future__ import annotations

from segmentation_models_pytorch.base import SegmentationHead
from torch import nn

__all__ = ["stride_4_head"]


def stride_4_head(channels: int, classes: int) -> nn.Module:
    """Classify each pixel of a map at stride 4, and resize the logits to the image."""
    head: nn.Module = SegmentationHead(channels, classes, kernel_size=1, upsampling=4)
    return head
