"""How an exported network sees one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segloom.errors import ConfigError
from segloom.types import Blend

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """As `segloom.config.evaluation.InferenceConfig`, whose answers they give.

    Raises:
        ConfigError: A value is out of its range.
    """

    window: tuple[int, int] | None = None
    """Height and width of a sliding window; None sees the whole image at once."""
    overlap: float = 0.5
    """Share of a window that it has in common with the next."""
    blend: Blend = "smooth"
    """How windows are placed and weighted."""
    scales: tuple[float, ...] = (1.0,)
    """Scales of the image whose scores are averaged."""
    flip: bool = False
    """Average with the scores of the mirrored image."""
    average: Literal["probabilities", "logits"] = "probabilities"
    """What is averaged over scales and mirror images."""

    def __post_init__(self) -> None:
        if self.window is not None and min(self.window) < 1:
            raise ConfigError(f"window is {self.window}; give a height and a width of 1 or more.")
        if not 0 <= self.overlap < 1:
            raise ConfigError(f"overlap is {self.overlap}; give a share from 0 to less than 1.")
        if self.blend not in ("smooth", "average"):
            raise ConfigError(f"blend is '{self.blend}'; take smooth or average.")
        if not self.scales or not all(0.05 <= scale <= 20 for scale in self.scales):
            raise ConfigError(f"scales are {self.scales}; give one or more from 0.05 to 20.")
        if self.average not in ("probabilities", "logits"):
            raise ConfigError(f"average is '{self.average}'; take probabilities or logits.")

    @property
    def averages_views(self) -> bool:
        """Whether more than the image as it is is seen."""
        return self.flip or tuple(self.scales) != (1.0,)

    @property
    def scores_are_probabilities(self) -> bool:
        """Whether what comes out of a window are probabilities, not logits."""
        return self.averages_views and self.average == "probabilities"
