"""Options of a comparison: which networks, how often, how long."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator
from tyro.conf import Suppress
from tyro.constructors import PrimitiveConstructorSpec

from segloom.config.base import Section, pairs
from segloom.config.run import RunConfig

__all__ = ["CONVERGED", "NONE", "SMALLEST_GAIN", "ComparisonPlan"]

NONE = "none"
"""The network without enhancements."""
CONVERGED = 0.005
"""A baseline whose best validation mIoU rose by this share or more in the last quarter of its
training has not converged."""
SMALLEST_GAIN = 1.0
"""Points of mIoU that a user would care about."""

SEEDS = re.compile(r"\s*(\d{1,9})\s*\.\.\s*(\d{1,9})\s*")

SEED_WORDS: PrimitiveConstructorSpec[tuple[object, ...]] = PrimitiveConstructorSpec(
    nargs="*",
    metavar="0..4|0,1|0 1",
    instance_from_str=tuple,  # the validator below reads them
    is_instance=lambda value: isinstance(value, tuple),
    str_from_instance=lambda value: [str(seed) for seed in value],
)
"""Lets tyro hand the words over as they are."""


def _words(value: object) -> object:
    """Split ``a,b c`` as users write lists on the command line and in YAML."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return tuple(
        word
        for item in value
        for word in (item.replace(",", " ").split() if isinstance(item, str) else [item])
    )


class ComparisonPlan(Section):
    """Every combination of the named parts and seeds is a cell: one training and one test."""

    architectures: tuple[str, ...] = ()
    """Architectures, such as unet,fpn; empty takes the recipe's."""
    encoders: tuple[str, ...] = ()
    """Encoders; empty takes the recipe's."""
    enhancements: tuple[str, ...] = Field((NONE,), min_length=1)
    """Sets of enhancements, each "none" or names joined by +, with options if need be: afma,
    afma:level=2+celt. "control" adds as many parameters as the largest set without an idea behind
    them, "control=afma" as many as that set."""
    baseline: str = NONE
    """The set that every other one is compared with."""
    seeds: Annotated[tuple[int, ...], SEED_WORDS] = Field((0,), min_length=1)
    """Seeds, such as 0..4 or 0,1,2; fewer than three say little about other seeds."""
    epochs: int | None = Field(None, ge=1)
    """Budget of a cell, in passes over the training set; None is the recipe's."""
    steps: int | None = Field(None, ge=1)
    """Budget of a cell, in optimiser steps."""
    minutes: float | None = Field(None, gt=0)
    """Budget of a cell, in minutes of training on this machine, from a short probe: a slower
    network then takes fewer steps."""
    smallest_gain: float = Field(SMALLEST_GAIN, gt=0, le=100)
    """Smallest gain of interest, in points of mIoU: what surely lies between minus and plus this is
    called practically equal. Name it before the first cell runs."""
    until_decided: bool = False
    """Add a seed, round by round, to the comparisons that are undecided, up to max_seeds. The looks
    share the level, so that the whole keeps it."""
    max_seeds: int = Field(8, ge=3, le=100)
    """Seeds at which until_decided stops."""
    tuning: Annotated[dict[str, int], pairs(int, "[SET TRIALS]")] = Field(default_factory=dict)
    """Runs of a search for options that each set had before, as you state it: none 40 afma 40.
    The page shows it beside the scores; empty says that no set had a search of its own."""
    recipes: Annotated[dict[str, RunConfig], Suppress] = Field(default_factory=dict)
    """Everything else of a cell, by the name of its data set."""

    @field_validator("architectures", "encoders", "seeds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _words(value)

    @field_validator("seeds", mode="before")
    @classmethod
    def _read_seeds(cls, value: object) -> object:
        words = _words([value] if isinstance(value, int) else value)
        if not isinstance(words, tuple):
            return words
        found: list[object] = []
        for item in words:
            span = SEEDS.fullmatch(item) if isinstance(item, str) else None
            if span:
                first, last = int(span[1]), int(span[2])
                if not first <= last < first + 1000:
                    raise ValueError(f"seeds go from low to high, at most 1000 of them, not {item}")
                found += range(first, last + 1)
            else:
                found.append(item)
        return tuple(found)

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(0 <= seed < 2**31 for seed in value):
            raise ValueError(f"a seed is a number from 0 to {2**31 - 1}")
        return value

    @field_validator("enhancements", mode="before")
    @classmethod
    def _read_sets(cls, value: object) -> object:
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list | tuple):
            return value
        # A comma also stands between options, so it divides only what has none.
        texts: list[object] = []
        for item in value:
            if isinstance(item, str) and ":" not in item:
                texts += item.replace(",", " ").split()
            else:
                texts.append(item)
        return tuple(texts)

    @model_validator(mode="after")
    def _check(self) -> ComparisonPlan:
        for name in ("architectures", "encoders", "enhancements", "seeds"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} holds a value twice: {', '.join(map(str, values))}")
        self._check_sets()
        if self.until_decided and not 2 <= len(self.seeds) < self.max_seeds:
            raise ValueError(
                f"until_decided begins with two seeds or more and ends with more, but seeds has "
                f"{len(self.seeds)} and max_seeds is {self.max_seeds}"
            )
        if sum(value is not None for value in (self.epochs, self.steps, self.minutes)) > 1:
            raise ValueError("give one of epochs, steps and minutes")
        return self

    def _check_sets(self) -> None:
        """Refuse names of sets of enhancements that are not in the plan."""
        for name, trials in self.tuning.items():
            if name not in self.enhancements or trials < 0:
                raise ValueError(
                    f"tuning names how many runs of a search a set of the plan had before, such as "
                    f"{self.baseline} 40, not {name} {trials}"
                )
        if self.baseline not in self.enhancements:
            raise ValueError(
                f"the baseline {self.baseline} is not among the enhancements "
                f"({', '.join(self.enhancements)}); add it, or name another with baseline"
            )
        for text in self.enhancements:
            like = text.partition("=")[2] if text.startswith("control=") else ""
            if like and (like not in self.enhancements or like == NONE):
                raise ValueError(f"{text}: there is no set {like} among the enhancements")
