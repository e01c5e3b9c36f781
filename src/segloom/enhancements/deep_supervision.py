"""Deep supervision: small heads on intermediate feature maps that are trained with the labels too.

Papers: Lee et al., "Deeply-Supervised Nets", AISTATS 2015; as "DSN" heads in the SFNet program (on
the fused maps of its pyramid) and in FENet's (on the encoder's last two stages):

    head = conv1x1(Dropout2d(ReLU(BN(conv3x3(map)))))

The heads run in training alone and change no prediction; their losses are those of the main
logits. The state dict is the same in training and evaluation.

Sites: enrich (encoder's maps) or supervise (decoder's maps), auxiliary_logits.
Axes: B batch, C channels of a map, N classes, h w size of the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from segloom.blocks.conv import conv_norm_relu
from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.types import ModelShape

__all__ = ["DeepSupervision", "DeepSupervisionConfig"]


@dataclass(frozen=True, kw_only=True)
class DeepSupervisionConfig(EnhancementConfig):
    """Where the auxiliary heads sit, and how wide they are."""

    place: Literal["encoder", "decoder"] = "encoder"
    """``encoder``: on the encoder's deepest maps, as in FENet. ``decoder``: on the maps that the
    decoder hands out, as in SFNet; only networks of ours do."""
    from_level: int = 4
    """Shallowest encoder level with a head; all deeper ones have one too."""
    channels: int = 128
    """Channels inside a head; K of the pyramid in the released programs."""
    dropout: float = 0.1
    """Share of channels dropped before the classifier."""

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ConfigError(f"deep_supervision: channels must be 1 or more, not {self.channels}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"deep_supervision: dropout lies in 0 to 1, not {self.dropout}.")

    def build(self, shape: ModelShape) -> DeepSupervision:
        """Make the heads.

        Raises:
            ConfigError: The encoder has no such level, or the decoder hands out no maps.
        """
        if self.place == "decoder":
            if not shape.pyramid_channels:
                raise ConfigError(
                    "deep_supervision: this decoder hands out no feature maps; set place=encoder, "
                    "or take architecture sfnet."
                )
            return DeepSupervision(self, (), shape.pyramid_channels, shape.num_classes)
        shape.level(self.from_level)
        places = [
            (index, spec.channels)
            for index, spec in enumerate(shape.features)
            if spec.level >= self.from_level and spec.channels > 0
        ]
        indices, channels = zip(*places, strict=True)
        return DeepSupervision(self, indices, channels, shape.num_classes)


class DeepSupervision(Enhancement):
    """Auxiliary heads; see `DeepSupervisionConfig` for the options.

    Args:
        config: The options.
        indices: Where the encoder's list holds the maps; empty for heads on the decoder's maps.
        channels: Of each map.
        num_classes: Channels of the logits.
    """

    def __init__(
        self,
        config: DeepSupervisionConfig,
        indices: tuple[int, ...],
        channels: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.indices = indices
        self.heads = nn.ModuleList(
            nn.Sequential(
                *conv_norm_relu(width, config.channels, 3, bias=True),
                nn.Dropout2d(config.dropout),
                nn.Conv2d(config.channels, num_classes, 1),
            )
            for width in channels
        )

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: object
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Classify the encoder's maps; they pass unchanged."""
        return features, self._classify([features[index] for index in self.indices])

    def supervise(self, pyramid: list[Tensor], signal: list[Tensor]) -> list[Tensor]:
        """Classify the decoder's maps, if the heads sit there."""
        return signal if self.indices else self._classify(pyramid)

    def auxiliary_logits(self, signal: list[Tensor]) -> list[Tensor]:
        """Return logits ``(B, N, h, w)``, one per head; none in evaluation mode."""
        return signal

    def _classify(self, maps: list[Tensor]) -> list[Tensor]:
        if not self.training or not maps:
            return []
        return [head(map_) for head, map_ in zip(self.heads, maps, strict=True)]
