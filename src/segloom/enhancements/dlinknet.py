"""D-LinkNet's centre block: dilated convolutions in a row, and the sum of all their results.

Paper: Zhou, Zhang, Wu, "D-LinkNet: LinkNet with Pretrained Encoder and Dilated Convolution for High
Resolution Satellite Imagery Road Extraction", CVPR Workshops 2018, section 3.1 and figure 3.

    d_1 = ReLU(conv 3x3, dilation 1 (x)),  d_k = ReLU(conv 3x3, dilation 2^(k-1) (d_{k-1}))
    y = x + d_1 + d_2 + d_3 + d_4

At dilations 1, 2, 4 and 8 a pixel of d_4 sees 31 x 31 pixels of the map, which keeps its size. The
paper puts it between LinkNet's encoder and decoder; here it takes the deepest map of any encoder,
or of a chosen level.

Site: enrich. Axes: B batch, C channels, h w size of the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.types import ModelShape

__all__ = ["Dlinknet", "DlinknetConfig"]


@dataclass(frozen=True, kw_only=True)
class DlinknetConfig(EnhancementConfig):
    """Options of the centre block."""

    level: int | None = None
    """Encoder level that it changes; None is the deepest, as in the paper."""
    depth: int = 4
    """Number of convolutions, dilated by 1, 2, 4, ...; the paper has 4, and 5 on ResNet-50."""

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 8:
            raise ConfigError(f"dlinknet: depth must be 1 to 8, not {self.depth}.")

    def build(self, shape: ModelShape) -> Dlinknet:
        """Make the module.

        Raises:
            ConfigError: The encoder has no map at the level, or it is the image.
        """
        level = self.level
        if level is None:
            level = max(spec.level for spec in shape.features if spec.channels)
        if level == 0:
            raise ConfigError("dlinknet: level 0 is the image; take an encoder level from 1.")
        index, feature = shape.level(level)
        return Dlinknet(index, feature.channels, [2**k for k in range(self.depth)])


class Dlinknet(Enhancement):
    """The centre block on one map; see the module for the formula.

    Args:
        feature_index: Where the encoder's list holds the map.
        channels: C.
        dilations: Of the convolutions, in their order.
    """

    def __init__(self, feature_index: int, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.feature_index = feature_index
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
            for dilation in dilations
        )
        for convolution in self.convolutions:
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # every one has a bias

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: object
    ) -> tuple[list[Tensor], object]:
        """Replace one map ``(B, C, h, w)`` by the sum."""
        total = part = features[self.feature_index]
        for convolution in self.convolutions:
            part = F.relu(convolution(part))
            total = total + part
        features[self.feature_index] = total
        return features, signal
