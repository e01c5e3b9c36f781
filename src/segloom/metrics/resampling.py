"""What is drawn again in a bootstrap: images, whole groups of images, or blocks inside groups.

Images of one film, patient or city are alike, so drawing them one by one makes a test set look
larger than it is. Where there are many groups, whole groups are drawn (the cluster bootstrap:
Davison, Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). Where there are few
and their images have an order, circular blocks of neighbours are drawn inside each group (Politis,
Romano, "A circular block-resampling procedure for stationary data", 1992); such an interval holds
for these groups, not for others. The length of a block follows from the autocorrelation: Politis,
White, Econometric Reviews 23, 2004, as corrected by Patton, Politis, White, Econometric Reviews 28,
2009. **Difference from the paper**: three times its length is taken, at most a third of the group.
Theirs estimates the variance with the smallest squared error; on counts of real films intervals
cover more with longer blocks, since what changes slowly along a film is seen better.

Axes: N images, M series, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segloom.types import Place

__all__ = ["MANY_GROUPS", "Resampling", "Stratum", "block_length", "plan_resampling"]

MANY_GROUPS = 10
"""Groups from which whole ones are drawn, whether their images have an order or not."""
LONGER = 3
"""Blocks as multiples of the length of Politis and White."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stratum:
    """Units that are drawn in the place of one another."""

    name: str
    """Of the group whose images these are; empty where units of all groups are drawn."""
    units: tuple[tuple[int, ...], ...]
    """Indices of the images of every unit; neighbours stand side by side."""
    block: int = 1
    """Units that are drawn together, from the first one on."""

    @property
    def num_blocks(self) -> float:
        """How many blocks it holds."""
        return len(self.units) / self.block


@dataclass(frozen=True)
class Resampling:
    """How N images are drawn again."""

    unit: Literal["image", "group", "block"]
    strata: tuple[Stratum, ...]
    num_images: int
    groups: tuple[str, ...] = ()
    """Names of the groups; images that belong to none are not among them."""

    @classmethod
    def of_images(cls, number: int) -> Resampling:
        """Draw every image by itself."""
        units = tuple((index,) for index in range(number))
        return cls("image", (Stratum("", units),), number)

    @property
    def degrees(self) -> float:
        """Degrees of freedom of a variance over the resamples: blocks less strata, at least 1."""
        return max(1.0, sum(stratum.num_blocks - 1 for stratum in self.strata))

    @property
    def inflation(self) -> float:
        """What a variance over resamples is multiplied by, since each stratum centres on itself."""
        blocks = sum(stratum.num_blocks for stratum in self.strata)
        return blocks / max(1.0, blocks - len(self.strata))

    def draws(self, resamples: int, *, seed: int = 0, chunk: int) -> Iterable[Array]:
        """Return how often every resample takes every image, ``(R, N)`` in chunks of rows."""
        if chunk >= resamples:
            return (_all_draws(self, resamples, seed),)
        generators = self._generators(seed)
        return (
            self._draw(min(chunk, resamples - start), generators)
            for start in range(0, resamples, chunk)
        )

    def _generators(self, seed: int) -> list[np.random.Generator]:
        others = range(1, len(self.strata))
        return [np.random.default_rng(seed), *(np.random.default_rng([seed, k]) for k in others)]

    def _draw(self, rows: int, generators: Sequence[np.random.Generator]) -> Array:
        drawn = np.zeros((rows, self.num_images))
        for stratum, random in zip(self.strata, generators, strict=True):
            number = len(stratum.units)
            if stratum.block == 1:
                times = random.multinomial(number, np.full(number, 1 / number), size=rows)
            else:
                times = _draw_blocks(number, stratum.block, rows, random)
            for place, unit in enumerate(stratum.units):
                drawn[:, list(unit)] = times[:, place, None]
        return drawn


@lru_cache(maxsize=1)  # all scores of all runs on the same images take the same draws
def _all_draws(resampling: Resampling, resamples: int, seed: int) -> Array:
    return resampling._draw(resamples, resampling._generators(seed))


def _draw_blocks(
    number: int, block: int, rows: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Count how often circular blocks take each of ``number`` units, ``(rows, number)``."""
    starts = random.integers(0, number, (rows, -(-number // block)))
    taken = (starts[:, :, None] + np.arange(block)) % number
    taken = taken.reshape(rows, -1)[:, :number]  # the last block is cut off
    flat = (taken + number * np.arange(rows)[:, None]).ravel()
    return np.bincount(flat, minlength=rows * number).reshape(rows, number)


def plan_resampling(places: Sequence[Place], series: NDArray[np.number]) -> Resampling:
    """Choose what is drawn again.

    Args:
        places: Of the N images.
        series: ``(N,)`` or ``(M, N)``, what each image adds to the scores in question, from whose
            autocorrelation the length of a block follows; their mean length is taken.
    """
    members: dict[str, list[int]] = {}
    for index, place in enumerate(places):
        members.setdefault(place.group, []).append(index)
    alone = members.pop("", [])
    names = tuple(members)
    is_ordered = all(places[i].order is not None for group in members.values() for i in group)
    if all(len(group) == 1 for group in members.values()):
        return Resampling.of_images(len(places))
    if len(members) + len(alone) < MANY_GROUPS and is_ordered:
        strata = [_ordered(name, group, places, series) for name, group in members.items()]
        if alone:
            strata.append(Stratum("", tuple((index,) for index in alone)))
        return Resampling("block", tuple(strata), len(places), names)
    if len(members) + len(alone) == 1:  # one group without an order tells nothing about groups
        return Resampling.of_images(len(places))
    units = (*(tuple(group) for group in members.values()), *((index,) for index in alone))
    return Resampling("group", (Stratum("", units),), len(places), names)


def _ordered(
    name: str, group: Sequence[int], places: Sequence[Place], series: NDArray[np.number]
) -> Stratum:
    order = sorted(group, key=lambda index: (places[index].order or 0, index))
    own = np.atleast_2d(np.asarray(series, np.float64))[:, order]  # (M, n)
    length = float(np.mean([block_length(row) for row in own]))
    # Independent images stay single ones.
    length = min(LONGER * length, len(order) / 3) if length >= 1.5 else 1.0
    return Stratum(name, tuple((index,) for index in order), max(1, round(length)))


def block_length(series: Array) -> float:
    """Give the length of the blocks of a circular block bootstrap that suits a series ``(n,)``."""
    number = len(series)
    centred = series - series.mean()
    power = float(centred @ centred) / number
    if number < 4 or not power > 0:
        return 1.0
    longest = int(np.ceil(np.sqrt(number))) + max(5, int(np.ceil(np.log10(number))))
    longest = min(longest, number - 1)
    covariance = np.array([centred[lag:] @ centred[: number - lag] for lag in range(longest + 1)])
    covariance /= number
    lags = np.arange(-(width := _bandwidth(covariance / power, number)), width + 1)
    # Flat up to half of the bandwidth, then falling to 0.
    weights = np.minimum(1.0, 2 * (1 - np.abs(lags) / width))
    weighted = weights * covariance[np.abs(lags)]
    slope, spectrum = float(weighted @ np.abs(lags)), float(weighted.sum())
    if spectrum == 0:
        return 1.0
    length = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * number ** (1 / 3)
    return float(np.clip(length, 1.0, np.ceil(min(3 * np.sqrt(number), number / 3))))


def _bandwidth(correlation: Array, number: int) -> int:
    """Return twice the first lag from which the autocorrelation cannot be told from 0."""
    run = max(5, int(np.ceil(np.log10(number))))
    negligible = np.abs(correlation[1:]) < 2 * np.sqrt(np.log10(number) / number)
    longest = len(correlation) - 1
    for lag in range(longest - run + 1):
        if negligible[lag : lag + run].all():
            return min(2 * (lag + 1), longest)
    return longest
