"""Flow alignment (FAM): upsampling along a learned flow.

Paper: Li et al., "Semantic Flow for Fast and Accurate Scene Parsing" (SFNet), ECCV 2020, section
3.2. As an enhancement FAM (`segloom.blocks.flow`, where its formula stands) takes the place of the
upsampling in every top-down fusion of SMP's FPN and UPerNet: ``L + up(F)`` becomes
``L + FAM(L, F)``.

Site: rewire. Keys added: ``decoder.*.join.*``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from segloom.blocks.flow import FlowJoin
from segloom.blocks.smp import swap_joins
from segloom.enhancements.base import Enhancement, EnhancementConfig
from segloom.errors import ConfigError
from segloom.types import ModelShape

__all__ = ["Fam", "FamConfig"]


@dataclass(frozen=True, kw_only=True)
class FamConfig(EnhancementConfig):
    """FAM in the top-down fusions of SMP's FPN or UPerNet; it has no options."""

    def build(self, shape: ModelShape) -> Fam:
        """Make the module, which replaces the fusions when it meets the model."""
        return Fam()


class Fam(Enhancement):
    """Replaces the fusions of an FPN or a UPerNet by flow-aligned ones."""

    def rewire(self, model: nn.Module) -> None:
        """Replace the fusions.

        Raises:
            ConfigError: The decoder has no top-down fusion that is known.
        """
        if swap_joins(model, FlowJoin) == 0:
            raise ConfigError(
                "fam: this decoder has no top-down fusion to replace; take architecture fpn or "
                "upernet without another fusion, or sfnet, which has flow alignment already."
            )
