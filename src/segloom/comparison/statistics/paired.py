"""How large a difference between two kinds of runs is, and how sure that is.

Both kinds were trained with the same S seeds and tested on the same N images. The difference of two
scores then varies for two reasons: another seed would train other weights, and another test set
would hold other images. Seeds and images are crossed (every seed is tested on every image), so

    d_s = delta + a_s + b + c_s,   var(mean d) = var_a / S + var_b + var_c / S

with ``a`` from the seeds, ``b`` from the choice of the N images and ``c`` from both. Resampling the
images of all runs together shows ``var_b + var_c / S`` (variance over resamples of the mean over
seeds) and ``var_b + var_c`` (mean over seeds of the variance over resamples); the spread of the S
differences shows ``(var_a + var_c) / S``. Their sum without what is counted twice is the variance:

    V = s^2 / S + V_images - V_both

A plain two-way percentile bootstrap (seeds and images drawn again: Owen, "The pigeonhole
bootstrap", Annals of Applied Statistics 2007) covers far too little with the three to five seeds of
a usual study, because S draws from S values show less spread than the values have; so it is
``mean +- t sqrt(V)`` with Satterthwaite's degrees of freedom (Biometrics Bulletin 1946). Under the
null this still calls up to 6 % of differences real with three seeds, so the p-value is Cochran's
more cautious one (Biometrics 1964): the mean, weighted by the two parts of V, of the p-values with
``S - 1`` and ``N - 1`` degrees of freedom; it keeps its level from two seeds on.

Axes: S seeds, R resamples of the images, V scores.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import gamma, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LEVEL",
    "POWER",
    "PairedDifferences",
    "holm",
    "paired_differences",
    "sign_flip_p_values",
]

LEVEL = 0.05
"""Largest probability, over the whole family, of calling a difference real that is none."""
MOST_SEEDS = 100
"""Beyond this many seeds a study is not planned."""
MOST_EXACT = 13
"""Seeds up to which every exchange of signs is tried."""
POWER = 0.8
"""Probability of finding the smallest detectable difference."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifferences:
    """Differences of V scores between two kinds of runs; NaN where something does not exist."""

    difference: Array
    """``(V,)`` mean over the seeds of the score with minus the score without."""
    interval: Array
    """``(V, 2)`` ends of the 95 % interval."""
    p_value: Array
    """``(V,)`` two-sided, Cochran's; NaN with one seed."""
    sign_flip_p_value: Array
    """``(V,)`` exact, over the seeds alone; NaN with one seed."""
    effect_size: Array
    """``(V,)`` Hedges' g of the paired differences: mean over spread, less its small-sample bias;
    NaN with one seed."""
    standard_error: Array
    """``(V,)`` square root of the variance V above."""
    degrees: Array
    """``(V,)`` Satterthwaite's degrees of freedom."""
    seed_share: Array
    """``(V,)`` share of the variance that is seen between the seeds; NaN with one seed."""
    equal_interval: Array
    """``(V, 2)`` ends of the 90 % interval, of the two one-sided tests."""
    seed_variance: Array
    """``(V,)`` variance of the differences between seeds: s^2, or its moderated estimate."""
    seed_degrees: Array
    """``(V,)`` its degrees of freedom."""
    image_variance: Array
    """``(V,)`` V_images."""
    interaction: Array
    """``(V,)`` estimate of V_both, which may be below 0 or above either part."""
    num_seeds: int
    num_images: int
    image_degrees: float
    """Degrees of freedom of V_images: the images, or their groups or blocks, less one."""

    def with_spread(self, variance: Array, degrees: Array) -> PairedDifferences:
        """Replace the variance between seeds ``(V,)``, for example by a moderated estimate."""
        if self.num_seeds == 1:
            return self
        return replace(self, seed_variance=variance, seed_degrees=degrees)._combined()

    def _combined(self) -> PairedDifferences:
        """Put the two parts of the variance together."""
        from scipy import stats

        from_seeds, _, variance = self._parts(self.num_seeds)
        with np.errstate(divide="ignore", invalid="ignore"):
            degrees = variance**2 / (
                from_seeds**2 / self.seed_degrees + self.image_variance**2 / self.image_degrees
            )
            share = from_seeds / variance
            ratio = np.abs(self.difference) / np.sqrt(variance)
        error = np.sqrt(variance)
        margin, narrow = (stats.t.ppf(1 - tail, degrees) * error for tail in (LEVEL / 2, LEVEL))
        with_parts = replace(
            self,
            interval=np.stack([self.difference - margin, self.difference + margin], axis=-1),
            equal_interval=np.stack([self.difference - narrow, self.difference + narrow], axis=-1),
            standard_error=error,
            degrees=degrees,
            seed_share=share,
        )
        return replace(with_parts, p_value=2 * with_parts._tail(ratio))

    def _parts(self, num_seeds: int) -> tuple[Array, Array, Array]:
        """Return the part of the seeds, what is counted twice, and V, with so many seeds."""
        from_seeds = self.seed_variance / num_seeds
        both = self.interaction * self.num_seeds / num_seeds
        both = np.clip(both, 0, np.minimum(from_seeds, self.image_variance))
        return from_seeds, both, from_seeds + self.image_variance - both

    def _tail(self, ratio: Array) -> Array:
        """Give Cochran's probability ``(V,)`` of more than ``ratio`` standard errors, one-sided."""
        from scipy import stats

        of_seeds: Array = stats.t.sf(ratio, self.seed_degrees)
        of_images: Array = stats.t.sf(ratio, self.image_degrees)
        return self.seed_share * of_seeds + (1 - self.seed_share) * of_images

    def equality_p_values(self, smallest_gain: float) -> Array:
        """Test by two one-sided tests whether the gain lies within ``+-smallest_gain``.

        Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987.

        Returns:
            ``(V,)`` p-values of "it lies outside"; NaN with one seed.
        """
        if self.num_seeds == 1:
            return np.full_like(self.difference, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            room: Array = (smallest_gain - np.abs(self.difference)) / self.standard_error
        return self._tail(room)

    def further_seeds(self, smallest_gain: float, comparisons: int, *, column: int) -> int | None:
        """Plan the seeds with which the gain would be found with the probability `POWER`.

        The spread is taken as estimated.

        Args:
            smallest_gain: What is to be found.
            comparisons: Size of the family.
            column: Index of the score.

        Returns:
            How many more than now, 0 if it would be found already; None if more than
            `MOST_SEEDS` would be needed, so that only more images can help.
        """
        one = self._column(column)

        def is_found(seeds: int) -> bool:
            more = replace(
                one,
                num_seeds=seeds,
                interaction=one.interaction * self.num_seeds / seeds,
                seed_degrees=one.seed_degrees + seeds - self.num_seeds,
            )
            return bool(more._combined().detectable(comparisons)[0] <= smallest_gain)

        counts = range(self.num_seeds, MOST_SEEDS + 1)
        # More seeds never find less, so the first count that does is found by halving.
        first = bisect_left(counts, True, key=is_found)
        return first if first < len(counts) else None

    def _column(self, column: int) -> PairedDifferences:
        """Keep one score."""
        kept: dict[str, Any] = {
            field.name: value[column : column + 1]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        return replace(self, **kept)

    def detectable(self, comparisons: int) -> Array:
        """Return the smallest differences ``(V,)`` that are found with the probability `POWER`.

        Args:
            comparisons: Size of the family, whose hardest step in Holm's order has the level
                ``LEVEL / comparisons``.
        """
        from scipy import stats

        tail = 1 - LEVEL / comparisons / 2
        needed = stats.t.ppf(tail, self.image_degrees)
        if self.num_seeds > 1:
            by_seeds = stats.t.ppf(tail, self.seed_degrees)
            needed = self.seed_share * by_seeds + (1 - self.seed_share) * needed
        margin: Array = (needed + stats.t.ppf(POWER, self.degrees)) * self.standard_error
        return margin


def paired_differences(
    with_it: NDArray[np.float64],
    without: NDArray[np.float64],
    resampled_with: NDArray[np.float64],
    resampled_without: NDArray[np.float64],
    num_images: int,
    *,
    image_degrees: float | None = None,
) -> PairedDifferences:
    """Compare the scores of two kinds of runs.

    Args:
        with_it: ``(S, V)`` scores on the whole test set, a row per seed.
        without: ``(S, V)`` likewise, the same seeds in the same order.
        resampled_with: ``(S, R, V)`` scores on R resamples of the images, the same ones for every
            run; see `segloom.metrics.statistics.bootstrap_values`.
        resampled_without: ``(S, R, V)`` likewise.
        num_images: N.
        image_degrees: Degrees of freedom of the images; None is ``N - 1``.
    """
    differences = np.asarray(with_it, np.float64) - np.asarray(without, np.float64)  # (S, V)
    resampled = np.asarray(resampled_with) - np.asarray(resampled_without)  # (S, R, V)
    num_seeds, num_scores = differences.shape
    mean = differences.mean(0)
    from_images = resampled.mean(0).var(0, ddof=1)  # (V,)
    unknown = np.full(num_scores, np.nan)
    zero, ends = np.zeros(num_scores), np.full((num_scores, 2), np.nan)
    found = PairedDifferences(
        difference=mean,
        interval=ends,
        p_value=unknown,
        sign_flip_p_value=unknown,
        effect_size=unknown,
        standard_error=unknown,
        degrees=unknown,
        seed_share=unknown,
        equal_interval=ends,
        seed_variance=zero,
        seed_degrees=np.full(num_scores, max(num_seeds - 1.0, 1.0)),
        image_variance=from_images,
        interaction=zero,
        num_seeds=num_seeds,
        num_images=num_images,
        image_degrees=num_images - 1.0 if image_degrees is None else image_degrees,
    )
    if num_seeds == 1:
        # The images alone: what belongs to the seeds does not exist.
        alone = replace(found._combined(), p_value=unknown, seed_share=unknown)
        return replace(alone, degrees=np.full(num_scores, found.image_degrees))
    spread = differences.std(0, ddof=1)
    each = resampled.var(1, ddof=1).mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = _small_sample_factor(num_seeds - 1) * mean / spread
    return replace(
        found,
        seed_variance=spread**2,
        interaction=(each - from_images) / (num_seeds - 1),
        sign_flip_p_value=sign_flip_p_values(differences),
        effect_size=effect,
    )._combined()


def sign_flip_p_values(differences: NDArray[np.float64]) -> Array:
    """Test paired differences ``(S, V)`` by permutation: with and without change places per seed.

    Returns:
        Two-sided ``(V,)``, exact up to 13 seeds. With S seeds it cannot fall below ``2 / 2^S``,
        and it knows nothing of the choice of the images.
    """
    values = np.asarray(differences, np.float64)
    num_seeds = len(values)
    if num_seeds <= MOST_EXACT:
        every = np.arange(2**num_seeds)[:, None] >> np.arange(num_seeds)
        signs = 1.0 - 2.0 * (every & 1)  # (2^S, S)
    else:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (9_999, num_seeds))
        signs = np.concatenate([np.ones((1, num_seeds)), signs])  # the study itself is one
    means = np.abs(signs @ values)
    # What differs by rounding alone is as large.
    p_values: Array = (means >= np.abs(values.sum(0)) * (1 - 1e-12)).mean(0)
    return np.where(np.isnan(values).any(0), np.nan, p_values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family (Holm, Scandinavian Journal of Statistics 1979).

    NaN stays NaN and does not count.
    """
    given = sorted((p, index) for index, p in enumerate(p_values) if not np.isnan(p))
    adjusted, largest = [float("nan")] * len(p_values), 0.0
    for rank, (p, index) in enumerate(given):
        largest = max(largest, min(1.0, p * (len(given) - rank)))
        adjusted[index] = largest
    return adjusted


def _small_sample_factor(degrees: int) -> float:
    """Hedges' correction of a standardised mean (Journal of Educational Statistics 1981)."""
    if degrees < 2:
        return float("nan")  # not defined for two seeds
    if degrees > 300:  # the gamma function overflows; the factor is 1 - 3 / (4 degrees - 1) there
        return 1 - 3 / (4 * degrees - 1)
    return gamma(degrees / 2) / (sqrt(degrees / 2) * gamma((degrees - 1) / 2))
