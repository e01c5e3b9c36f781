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

from collections.abc import Sequence
from dataclasses import dataclass
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
    num_seeds: int
    num_images: int

    def detectable(self, comparisons: int) -> Array:
        """Return the smallest differences ``(V,)`` that are found with the probability `POWER`.

        Args:
            comparisons: Size of the family, whose hardest step in Holm's order has the level
                ``LEVEL / comparisons``.
        """
        from scipy import stats

        tail = 1 - LEVEL / comparisons / 2
        needed = stats.t.ppf(tail, self.num_images - 1)
        if self.num_seeds > 1:
            by_seeds = stats.t.ppf(tail, self.num_seeds - 1)
            needed = self.seed_share * by_seeds + (1 - self.seed_share) * needed
        margin: Array = (needed + stats.t.ppf(POWER, self.degrees)) * self.standard_error
        return margin


def paired_differences(
    with_it: NDArray[Any],
    without: NDArray[Any],
    resampled_with: NDArray[Any],
    resampled_without: NDArray[Any],
    num_images: int,
) -> PairedDifferences:
    """Compare the scores of two kinds of runs.

    Args:
        with_it: ``(S, V)`` scores on the whole test set, a row per seed.
        without: ``(S, V)`` likewise, the same seeds in the same order.
        resampled_with: ``(S, R, V)`` scores on R resamples of the images, the same ones for every
            run; see `segloom.metrics.statistics.bootstrap_values`.
        resampled_without: ``(S, R, V)`` likewise.
        num_images: N.
    """
    from scipy import stats

    differences = np.asarray(with_it, np.float64) - np.asarray(without, np.float64)  # (S, V)
    resampled = np.asarray(resampled_with) - np.asarray(resampled_without)  # (S, R, V)
    num_seeds, num_scores = differences.shape
    mean = differences.mean(0)
    from_images = resampled.mean(0).var(0, ddof=1)  # (V,)
    unknown = np.full(num_scores, np.nan)
    if num_seeds == 1:
        variance, degrees = from_images, np.full(num_scores, num_images - 1.0)
        p_value, flips, effect, seed_share = unknown, unknown, unknown, unknown
    else:
        spread = differences.std(0, ddof=1)
        from_seeds = spread**2 / num_seeds
        each = resampled.var(1, ddof=1).mean(0)
        both = np.clip(
            (each - from_images) / (num_seeds - 1), 0, np.minimum(from_seeds, from_images)
        )
        variance = from_seeds + from_images - both
        with np.errstate(divide="ignore", invalid="ignore"):
            degrees = variance**2 / (
                from_seeds**2 / (num_seeds - 1) + from_images**2 / (num_images - 1)
            )
            seed_share = from_seeds / variance
            ratio = np.abs(mean) / np.sqrt(variance)
            effect = _small_sample_factor(num_seeds - 1) * mean / spread
        p_value = 2 * seed_share * stats.t.sf(ratio, num_seeds - 1)
        p_value += 2 * (1 - seed_share) * stats.t.sf(ratio, num_images - 1)
        flips = sign_flip_p_values(differences)
    error = np.sqrt(variance)
    margin = stats.t.ppf(1 - LEVEL / 2, degrees) * error
    return PairedDifferences(
        difference=mean,
        interval=np.stack([mean - margin, mean + margin], axis=-1),
        p_value=p_value,
        sign_flip_p_value=flips,
        effect_size=effect,
        standard_error=error,
        degrees=degrees,
        seed_share=seed_share,
        num_seeds=num_seeds,
        num_images=num_images,
    )


def sign_flip_p_values(differences: NDArray[Any]) -> Array:
    """Test paired differences ``(S, V)`` by permutation: with and without change places per seed.

    Returns:
        Two-sided ``(V,)``, exact up to 13 seeds. With S seeds it cannot fall below ``2 / 2^S``,
        and it knows nothing of the choice of the images.
    """
    from scipy import stats

    result = stats.permutation_test(
        (np.asarray(differences, np.float64),),
        lambda sample, axis: np.mean(sample, axis=axis),
        permutation_type="samples",
        axis=0,
        n_resamples=10_000,
        rng=np.random.default_rng(0),
    )
    p_values: Array = np.asarray(result.pvalue, np.float64)
    return np.where(np.isnan(differences).any(0), np.nan, p_values)


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
