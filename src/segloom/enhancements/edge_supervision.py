"""Edge supervision: a side output on the two finest maps learns where classes meet.

Source: the optional boundary branch of the FENet program (off in its released configurations);
the class-balanced loss is that of Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015,
equation 2.

    s_i  = ReLU(conv1x1(C_i)) of one channel each
    edge = sigmoid(conv1x1([up(s_3), s_2]))
    loss = mean over pixels of BCE(edge, E), weighted by neg / (pos + neg) where E = 1 and by
           pos / (pos + neg) where E = 0, counted image by image

E is 1 where a pixel's label differs from one of its four neighbours'; void counts as a class, and
pixels of label 0 are no edge, since the program asks for inner boundaries of what is not 0.
``background=False`` lifts that.

Sites: enrich (the edge map), loss. It changes no prediction and runs in training alone.
Axes: B batch, C channels of a map, h w size at the finer map, H W image size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.ops.resize import resize
from segloom.types import ModelShape

__all__ = ["EdgeSupervision", "EdgeSupervisionConfig", "edge_map_loss", "inner_boundaries"]


@dataclass(frozen=True, kw_only=True)
class EdgeSupervisionConfig(EnhancementConfig):
    """Which maps the side output reads, and what counts as an edge."""

    level: int = 2
    """Encoder level of the finer map; the next one is the coarser."""
    background: bool = True
    """Class 0 is background: its side of a border is no edge, as in the released program."""

    def build(self, shape: ModelShape) -> EdgeSupervision:
        """Make the side output.

        Raises:
            ConfigError: The encoder lacks one of the two levels.
        """
        fine, coarse = shape.level(self.level), shape.level(self.level + 1)
        return EdgeSupervision(
            (fine[0], coarse[0]),
            (fine[1].channels, coarse[1].channels),
            background=self.background,
        )


class EdgeSupervision(Enhancement):
    """The side output; see `EdgeSupervisionConfig` for the options.

    Args:
        indices: Where the encoder's list holds the finer and the coarser map.
        channels: Of both.
        background: Whether class 0 has no edges.
    """

    def __init__(
        self, indices: tuple[int, int], channels: tuple[int, int], *, background: bool
    ) -> None:
        super().__init__()
        self.indices, self.background = indices, background
        self.side = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in channels)
        self.fuse = nn.Conv2d(2, 1, 1)

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: object
    ) -> tuple[list[Tensor], Tensor | None]:
        """Find edges in training; the maps pass unchanged."""
        fine, coarse = (features[index] for index in self.indices)
        return features, self.detect(fine, coarse) if self.training else None

    def detect(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Turn ``(B, C, h, w)`` and a coarser map into logits of an edge ``(B, 1, h, w)``."""
        first, second = (
            F.relu(side(map_)) for side, map_ in zip(self.side, (fine, coarse), strict=True)
        )
        logits: Tensor = self.fuse(torch.cat([resize(second, fine.shape[-2:]), first], dim=1))
        return logits

    def loss(self, signal: Tensor | None, target: Tensor) -> Tensor | None:
        """Compare the edges with those of the labels; None in evaluation mode."""
        if signal is None:
            return None
        with torch.autocast(signal.device.type, enabled=False):
            edges = inner_boundaries(target, background=self.background).unsqueeze(1)
            probability = resize(torch.sigmoid(signal.float()), target.shape[-2:])
            return edge_map_loss(probability, edges.float())


def inner_boundaries(target: Tensor, *, background: bool) -> Tensor:
    """Find the pixels of ``(B, H, W)`` whose label differs from one of their four neighbours'.

    Args:
        target: Class ids and 255 for void, which counts as a class.
        background: Leave out pixels of label 0.

    Returns:
        bool ``(B, H, W)``.
    """
    edges = torch.zeros_like(target, dtype=torch.bool)
    for axis in (1, 2):
        differs = target.diff(dim=axis) != 0
        length = differs.shape[axis]
        edges.narrow(axis, 0, length).logical_or_(differs)
        edges.narrow(axis, 1, length).logical_or_(differs)
    return edges & (target != 0) if background else edges


def edge_map_loss(probability: Tensor, edges: Tensor) -> Tensor:
    """Average the binary cross-entropy with edges and non-edges balanced in each image.

    Args:
        probability: Of an edge, float32 ``(B, 1, H, W)``.
        edges: 1 or 0, float32 ``(B, 1, H, W)``.
    """
    share = edges.mean(dim=(1, 2, 3), keepdim=True)  # pos / (pos + neg) of each image
    weights = torch.where(edges > 0.5, 1 - share, share)
    return F.binary_cross_entropy(probability, edges, weight=weights)
