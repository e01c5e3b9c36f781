"""Feature enhancement (FEM): fusion of pyramid levels that adds the high frequencies of their maps.

Paper: Liu, Zhang and Guo, "Boosting Semantic Segmentation via Feature Enhancement" (FENet),
ChinaMM 2022, figure 2. As an enhancement FEM-S (`segloom.blocks.fem`, where its formula stands)
takes the place of the sum in every top-down fusion of SMP's FPN and UPerNet.

Site: rewire. Keys added: ``decoder.*.join.*``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from segloom.blocks.fem import Extractor, StructureEnhance
from segloom.blocks.smp import swap_joins
from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.types import ModelShape

__all__ = ["Fem", "FemConfig"]


@dataclass(frozen=True, kw_only=True)
class FemConfig(EnhancementConfig):
    """FEM-S in the top-down fusions of SMP's FPN or UPerNet."""

    extractor: Extractor = "highpass"
    """``highpass`` as released, ``lowpass``, or ``fixed``: a high-pass that does not learn."""

    def build(self, shape: ModelShape) -> Fem:
        """Make the module, which replaces the fusions when it meets the model."""
        return Fem(self)


class Fem(Enhancement):
    """Replaces the fusions of an FPN or a UPerNet by FEM-S.

    Args:
        config: The options.
    """

    def __init__(self, config: FemConfig) -> None:
        super().__init__()
        self.extractor = config.extractor

    def rewire(self, model: nn.Module) -> None:
        """Replace the fusions.

        Raises:
            ConfigError: The decoder has no top-down fusion that is known.
        """
        if swap_joins(model, partial(StructureEnhance, extractor=self.extractor)) == 0:
            raise ConfigError(
                "fem: this decoder has no top-down fusion to replace; take architecture fpn or "
                "upernet without another fusion, or fenet, which has feature enhancement already."
            )
