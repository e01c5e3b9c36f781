"""What an enhancement is worth in general: meta-analysis over the networks of a plan.

A gain on one network holds for that network. Over k networks, each with gain ``y_i`` and variance
``v_i`` between its seeds,

    y_i ~ N(mu + u_i, v_i),   u_i ~ N(0, tau^2)

``tau^2`` is Paule and Mandel's (Journal of Research of the National Bureau of Standards 87, 1982),
its interval the Q-profile's (Viechtbauer, Statistics in Medicine 26, 2007). The interval of ``mu``
is that of Hartung, Knapp (Statistics in Medicine 20, 2001) and Sidik, Jonkman, never narrower than
the plain one (Roever, Knapp, Friede, BMC Medical Research Methodology 15:99, 2015), with ``k - 1``
degrees of freedom. Where the gain on another network would lie is Higgins, Thompson and
Spiegelhalter's prediction interval (Journal of the Royal Statistical Society A 172, 2009).

Networks of one data set share its images, so the choice of the images does not average out over
them. As in `paired`, resampling the images of all runs together shows that part, and it is added
once: ``V = V_mu + V_images - V_both``.

Axes: k networks, R resamples of the images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segloom.comparison.statistics.paired import LEVEL

__all__ = ["GeneralEffect", "NetworkGain", "combine_gains", "general_effect"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NetworkGain:
    """The gain on one network."""

    data: str
    """Data set; networks of one share the images."""
    gain: float
    variance: float
    """Of the mean over the seeds, from the seeds alone."""
    resampled: Array
    """``(R,)`` mean gain on resamples of the images."""
    image_degrees: float


@dataclass(frozen=True)
class GeneralEffect:
    """Mean gain over k networks; None where k is too small."""

    num_networks: int
    gain: float
    interval: tuple[float, float]
    standard_error: float
    degrees: float
    p_value: float
    tau: float
    """Standard deviation of the true gains between networks."""
    tau_interval: tuple[float, float]
    prediction: tuple[float, float] | None
    """Where the gain on another network would lie; from three networks on."""


@dataclass(frozen=True)
class _Combined:
    weights: Array
    mean: float
    variance: float
    tau_squared: float
    tau_squared_interval: tuple[float, float]


def combine_gains(gains: Array, variances: Array) -> _Combined:
    """Combine independent estimates ``(k,)``, k >= 2, with their variances, all positive.

    Returns:
        Normalised weights, mean, its Hartung-Knapp-Sidik-Jonkman variance, and tau^2.
    """
    from scipy import stats

    count = len(gains)
    tau = _solve_q(gains, variances, count - 1.0)
    interval = (
        _solve_q(gains, variances, float(stats.chi2.ppf(1 - LEVEL / 2, count - 1))),
        _solve_q(gains, variances, float(stats.chi2.ppf(LEVEL / 2, count - 1))),
    )
    weights = 1 / (variances + tau)
    total = float(weights.sum())
    mean = float(weights @ gains / total)
    scatter = float(weights @ (gains - mean) ** 2) / (count - 1)
    return _Combined(weights / total, mean, max(1.0, scatter) / total, tau, interval)


def _solve_q(gains: Array, variances: Array, target: float) -> float:
    """Find the tau^2 at which the weighted squares around the mean are ``target``; 0 if none is."""
    from scipy.optimize import brentq

    def excess(tau: float) -> float:
        weights = 1 / (variances + tau)
        mean = weights @ gains / weights.sum()
        return float(weights @ (gains - mean) ** 2) - target

    if excess(0.0) <= 0:
        return 0.0
    high = float(np.ptp(gains) ** 2 + variances.max())
    while excess(high) > 0:
        high *= 4
    return float(brentq(excess, 0.0, high, xtol=1e-16, rtol=1e-12))


def general_effect(networks: Sequence[NetworkGain]) -> GeneralEffect | None:
    """Combine the gains of one enhancement; None with fewer than two networks.

    Networks with equal runs (no variance at all) are left out.
    """
    from scipy import stats

    used = [item for item in networks if item.variance > 0 and math.isfinite(item.gain)]
    if len(used) < 2:
        return None
    gains = np.array([item.gain for item in used])
    found = combine_gains(gains, np.array([item.variance for item in used]))
    images, both = _image_parts(used, found.weights)
    both = min(max(both, 0.0), found.variance, images)
    variance = found.variance + images - both
    image_degrees = min(item.image_degrees for item in used)
    degrees = variance**2 / (found.variance**2 / (len(used) - 1) + images**2 / image_degrees)
    error = math.sqrt(variance)
    margin = float(stats.t.ppf(1 - LEVEL / 2, degrees)) * error
    prediction = None
    if len(used) > 2:
        reach = float(stats.t.ppf(1 - LEVEL / 2, len(used) - 2))
        reach *= math.sqrt(found.tau_squared + variance)
        prediction = (found.mean - reach, found.mean + reach)
    low, high = found.tau_squared_interval
    return GeneralEffect(
        num_networks=len(used),
        gain=found.mean,
        interval=(found.mean - margin, found.mean + margin),
        standard_error=error,
        degrees=float(degrees),
        p_value=float(2 * stats.t.sf(abs(found.mean) / error, degrees)),
        tau=math.sqrt(found.tau_squared),
        tau_interval=(math.sqrt(low), math.sqrt(high)),
        prediction=prediction,
    )


def _image_parts(networks: Sequence[NetworkGain], weights: Array) -> tuple[float, float]:
    """Return the variance of the mean over resamples, and what the scatter of gains holds of it.

    Data sets are independent of one another, so their parts add.
    """
    images, both = 0.0, 0.0
    for data in dict.fromkeys(item.data for item in networks):
        rows = [i for i, item in enumerate(networks) if item.data == data]
        resampled = np.stack([networks[i].resampled for i in rows])  # (k, R)
        share = weights[rows]
        together = float((share @ resampled).var(ddof=1))
        images += together
        total = float(share.sum())
        if len(rows) > 1:
            each = float(share @ resampled.var(axis=1, ddof=1)) * total
            both += (each - together) / (len(rows) - 1)
        else:
            both += together  # one network: its scatter already holds this part
    return images, both
