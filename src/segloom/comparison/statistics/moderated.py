"""The spread between seeds of every pair of a study, estimated with the help of all other pairs.

Three seeds give a variance two degrees of freedom, which is next to nothing; the pairs of one study
have similar spreads, so each can borrow from the others. The model is that of Smyth (Statistical
Applications in Genetics and Molecular Biology 3(1), 2004): for pair c with ``f_c`` degrees

    sigma_c^2 ~ d0 s0^2 / chi^2(d0),   s_c^2 | sigma_c^2 ~ sigma_c^2 chi^2(f_c) / f_c

**Difference from the paper**: it estimates d0 and s0 by moments and then takes them as known, which
is right for thousands of genes. With six pairs the estimate of d0 is often infinite by chance, and
false alarms come too often where spreads differ. Here d0 and s0 are averaged over, each value
weighted by how likely it makes the spreads that were seen (with many pairs that is the paper's
result again). What is unknown about them lowers the degrees of freedom: the mixture is summarised
by the scaled inverse chi-squared distribution with its mean and variance of the precision, with at
least half the degrees that the pair has by itself: no part of the mixture has tails like fewer.

Pairs that share their baseline have correlated spreads (0.25 where both sides vary alike), so n of
them count as ``n / (1 + 0.25 (n - 1))`` independent ones.

Axes: C pairs, G values of the prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ModeratedVariances", "moderate"]

PRIOR_DEGREES = np.array([1.0, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 1024])
"""Values of d0; the last is as good as infinite."""
PRIOR_STEPS = 41
"""Values of log s0^2, evenly from the smallest to the largest spread that was seen and beyond."""
SHARED_CORRELATION = 0.25
"""Correlation of the variances of two differences with one baseline in common: 0.5 squared."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ModeratedVariances:
    """Variances of C pairs for one score, and what they are worth."""

    variance: Array
    """``(C,)`` of the differences between seeds; the plain one where nothing can be borrowed."""
    degrees: Array
    """``(C,)`` degrees of freedom."""


def moderate(variances: Array, degrees: Array, *, shared: float = 1.0) -> ModeratedVariances:
    """Estimate the variances of one score from all pairs together.

    Args:
        variances: ``(C,)``; NaN and 0 (the runs are the same) neither give nor take.
        degrees: ``(C,)``, 0 for a pair with one seed.
        shared: Mean number of pairs that are compared with one baseline.
    """
    variances = np.asarray(variances, np.float64)
    degrees = np.asarray(degrees, np.float64)
    usable = (degrees > 0) & np.nan_to_num(variances > 0)
    found = ModeratedVariances(variances.copy(), degrees.copy())
    if usable.sum() < 2:
        return found
    own, own_degrees = variances[usable], degrees[usable]
    prior_degrees, prior_variances = _grid(own, own_degrees)  # (G,)
    logs = _log_likelihood(own, own_degrees, prior_degrees, prior_variances)  # (C, G)
    worth = 1 / (1 + SHARED_CORRELATION * (shared - 1))
    total = worth * logs.sum(0)
    weights = np.exp(total - total.max())
    weights /= weights.sum()
    posterior = prior_degrees + own_degrees[:, None]  # (C, G)
    scale = (prior_degrees * prior_variances + own_degrees[:, None] * own[:, None]) / posterior
    precision = (weights / scale).sum(1)
    square = (weights / scale**2 * (1 + 2 / posterior)).sum(1)
    found.variance[usable] = 1 / precision
    effective = 2 / (square / precision**2 - 1)
    found.degrees[usable] = np.clip(effective, own_degrees / 2, own_degrees.sum() * worth)
    return found


def _grid(variances: Array, degrees: Array) -> tuple[Array, Array]:
    """Spread values of d0 and s0^2, flattened to ``(G,)``."""
    logs = np.log(variances)
    low, high = logs.min() - 1.0, logs.max() + 1.0
    steps = np.linspace(low, high, PRIOR_STEPS)
    d0, s0 = np.meshgrid(PRIOR_DEGREES, np.exp(steps), indexing="ij")
    return d0.ravel(), s0.ravel()


def _log_likelihood(
    variances: Array, degrees: Array, prior_degrees: Array, prior_variances: Array
) -> Array:
    """Return the log density of each variance ``(C,)`` under each prior, ``(C, G)``: a scaled F."""
    from scipy.special import betaln

    f, s = degrees[:, None], variances[:, None]
    d, p = prior_degrees, prior_variances
    ratio = f * s / (d * p)
    density: Array = (
        f / 2 * np.log(ratio) - (f + d) / 2 * np.log1p(ratio) - betaln(f / 2, d / 2) - np.log(s)
    )
    return density
