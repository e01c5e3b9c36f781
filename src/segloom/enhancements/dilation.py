"""Dilation that keeps the strides ("variant D"): a wider view in the encoder's last two stages.

Source: the ResNets of SFNet (Li et al., "Semantic Flow for Fast and Accurate Scene Parsing", ECCV
2020; program lxtGH/SFSegNets, variant "D"). The 3x3 convolution ``conv2`` of every block is dilated
by 2 in stage 3 and by 4 in stage 4, while its stride stays: maps keep their sizes, so every decoder
fits, unlike with an ``output_stride`` of 8 or 16. A basic block's first convolution is left alone.
In an encoder that is dilated already, the existing dilation is multiplied, so that the view grows
as much, in image pixels, as it would in the plain encoder.

Site: rewire, once; no parameters, no signal, and the names in the state dict stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from torch import nn

from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.types import ModelShape

__all__ = ["Dilation", "DilationConfig"]


@dataclass(frozen=True, kw_only=True)
class DilationConfig(EnhancementConfig):
    """Options of the dilation."""

    stage3: int = 2
    """Dilation of the third stage; 1 leaves it as it is."""
    stage4: int = 4
    """Dilation of the fourth stage."""

    def __post_init__(self) -> None:
        if min(self.stage3, self.stage4) < 1 or self.stage3 == self.stage4 == 1:
            raise ConfigError(
                "dilation: stage3 and stage4 are 1 or more, and one of them above 1; got "
                f"{self.stage3} and {self.stage4}."
            )

    def build(self, shape: ModelShape) -> Dilation:
        """Make the module.

        Raises:
            ConfigError: The decoder takes no map of the stages.
        """
        levels = {spec.level for spec in shape.features}
        rates = {"layer3": (4, self.stage3), "layer4": (5, self.stage4)}
        chosen = {
            stage: rate for stage, (level, rate) in rates.items() if level in levels and rate > 1
        }
        if not chosen:
            raise ConfigError(
                "dilation: this architecture takes no map of the encoder's third or fourth stage, "
                "so nothing would change; give encoder_depth 5, or leave dilation out."
            )
        return Dilation(chosen)


class Dilation(Enhancement):
    """Dilates the encoder of the model that it is attached to.

    Args:
        rates: Name of a stage of the encoder to the factor of its dilation.
    """

    def __init__(self, rates: dict[str, int]) -> None:
        super().__init__()
        self.rates = rates

    def rewire(self, model: nn.Module) -> None:
        """Dilate ``conv2`` of every block of the stages.

        Raises:
            ConfigError: The encoder is no ResNet with a 3x3 ``conv2`` in every block.
        """
        encoder: object = model.encoder
        instead = getattr(encoder, "instead", "such an encoder")
        encoder = getattr(encoder, "model", encoder)  # timm's, as SMP wraps it
        for stage, rate in self.rates.items():
            blocks = list(getattr(encoder, stage, [None]))
            convolutions = [
                convolution
                for block in blocks
                if _keeps_size_by_padding(convolution := getattr(block, "conv2", None))
            ]
            if len(convolutions) != len(blocks):
                raise ConfigError(
                    f"dilation: the encoder's {stage} is no stage of a ResNet with a 3x3 conv2 "
                    f"in every block; take {instead} (resnet18, tu-resnet50), or leave "
                    "dilation out."
                )
            for convolution in convolutions:
                height, width = convolution.dilation
                convolution.dilation = convolution.padding = (rate * height, rate * width)


def _keeps_size_by_padding(module: object) -> TypeGuard[nn.Conv2d]:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (3, 3)
        and module.padding == module.dilation
    )
