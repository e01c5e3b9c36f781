"""What the measures have in common whose options are one list of numbers in `EvalConfig`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, Self, TypeVar

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.measures.base import Measure

__all__ = ["LimitMeasure"]

Limit = TypeVar("Limit", int, float)


class LimitMeasure(Measure, Generic[Limit]):
    """Scores between limits or within tolerances; without any it measures nothing."""

    listed_in: ClassVar[str]
    """Field of `EvalConfig` that lists the limits."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        super().__init__()
        self.limits: tuple[Limit, ...] = tuple(limits)

    @classmethod
    def configured(cls, config: EvalConfig) -> Self:
        """Make the measure with the limits of a configuration."""
        return cls(getattr(config, cls.listed_in))
