"""The control: as many further parameters as a method brings, and no idea behind them.

A method that adds parameters may help because it has more of them. Beside the plain network stands
therefore one with the same number of parameters in the plainest form, a residual pair of 1x1
convolutions on one of the encoder's maps:

    y = x + W2 ReLU(W1 x)

``W1`` is ``m x C`` and ``W2`` is ``C x m``, without biases: ``2 C m`` parameters, a multiple of 2C.
The map is the deepest: every decoder reads it, and it is the smallest, so the control costs little
time. The number is met to within C. ``W2`` starts at zero, so that the network starts as the plain
one. He et al., "Deep Residual Learning" (CVPR 2016, section 3.1), has the residual form; comparing
against as many parameters is the field's usual ablation.

Site: enrich. Axes: B batch, C channels, h w size of the map.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.types import ModelShape

__all__ = ["Control", "ControlConfig"]


@dataclass(frozen=True, kw_only=True)
class ControlConfig(EnhancementConfig):
    """Options of the control."""

    parameters: int = 100_000
    """How many it adds, as nearly as ``2 C m`` allows."""
    level: int | None = None
    """Encoder level that it changes, from 1; None is the deepest."""

    def __post_init__(self) -> None:
        if self.parameters < 1:
            raise ConfigError(f"control: parameters must be 1 or more, not {self.parameters}.")

    def build(self, shape: ModelShape) -> Control:
        """Make the module.

        Raises:
            ConfigError: The encoder has no map at the level, or it is the image.
        """
        if self.level == 0:
            raise ConfigError("control: level 0 is the image; take an encoder level from 1.")
        deepest = max(spec.level for spec in shape.features if spec.channels)
        index, feature = shape.level(deepest if self.level is None else self.level)
        width = max(1, round(self.parameters / (2 * feature.channels)))
        return Control(index, feature.channels, width)


class Control(Enhancement):
    """The residual pair on one map; see the module for the formula.

    Args:
        feature_index: Where the encoder's list holds the map.
        channels: C.
        width: m.
    """

    def __init__(self, feature_index: int, channels: int, width: int) -> None:
        super().__init__()
        self.feature_index = feature_index
        self.narrow = nn.Conv2d(channels, width, 1, bias=False)
        self.widen = nn.Conv2d(width, channels, 1, bias=False)
        nn.init.zeros_(self.widen.weight)

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: object
    ) -> tuple[list[Tensor], object]:
        """Add the pair's result to one map ``(B, C, h, w)``."""
        feature = features[self.feature_index]
        features[self.feature_index] = feature + self.widen(F.relu(self.narrow(feature)))
        return features, signal
