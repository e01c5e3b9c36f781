"""How sure a score is: bootstrap intervals over the images of a test set.

Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13, the percentile interval.
The image, or what `segloom.metrics.resampling` chooses in its place, is drawn again, because pixels
of one image are not independent. A resample is a vector of how often each image was drawn; since
all our counts add over images, its counts are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from segloom.metrics.resampling import Resampling
from segloom.metrics.scores import Numbers

__all__ = ["CONFIDENCE", "bootstrap_interval", "bootstrap_values"]

CONFIDENCE = 0.95
"""Probability that an interval is meant to cover the score of a new test set's population."""

_CHUNK_BYTES = 64 * 2**20


def bootstrap_interval(
    per_image: Numbers,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    resampling: Resampling | None = None,
) -> NDArray[np.float64]:
    """Return the percentile interval of a statistic of summed counts.

    Args:
        per_image: Counts ``(N, ...)`` of N images; they add over images.
        statistic: Maps sums ``(R, ...)`` of R resamples to values ``(R, V)``; may give NaN.
        resamples: How many times the N images are drawn with replacement.
        seed: Equal seeds, counts and resamples give equal intervals, and every statistic sees the
            same resamples.
        confidence: Share of the resamples between the ends.
        resampling: What is drawn; None draws the images one by one.

    Returns:
        float64 ``(V, 2)``, low and high: percentiles for single images, else Student's t within 0
        and 1. NaN where fewer than two images or no resample gave a value, since nothing can be
        said then.
    """
    per_image = np.asarray(per_image, np.float64)
    if len(per_image) < 2 or resamples < 1:
        one = np.asarray(statistic(np.zeros((1, *per_image.shape[1:]))))
        return np.full((one.shape[-1], 2), np.nan)
    drawn = resampling or Resampling.of_images(len(per_image))
    values = bootstrap_values(
        per_image, statistic, resamples=resamples, seed=seed, resampling=drawn
    )
    if drawn.unit == "image":
        return _percentiles(values, confidence)
    whole = np.asarray(statistic(per_image.sum(0, keepdims=True)))[0]
    return _student(whole, values, drawn, confidence)


def bootstrap_values(
    per_image: Numbers,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 2000,
    seed: int = 0,
    resampling: Resampling | None = None,
) -> NDArray[np.float64]:
    """Return the statistic of every resample, float64 ``(R, V)``; see `bootstrap_interval`.

    Runs on the same images see the same resamples, so their values may be subtracted.
    """
    num_images = len(per_image)
    flat = per_image.reshape(num_images, -1).astype(np.float64)
    # A chunk holds the draws and the sums; all sums stay below 2^53, so they are exact.
    chunk = max(1, _CHUNK_BYTES // (8 * (num_images + flat.shape[1])))
    drawn = resampling or Resampling.of_images(num_images)
    values = []
    for draws in drawn.draws(resamples, seed=seed, chunk=chunk):
        sums = (draws @ flat).reshape(len(draws), *per_image.shape[1:])
        values.append(np.asarray(statistic(sums)))
    return np.concatenate(values)


def _student(
    whole: NDArray[np.float64],
    values: NDArray[np.float64],
    resampling: Resampling,
    confidence: float,
) -> NDArray[np.float64]:
    """Lay an interval around the score itself: percentiles are too narrow for few units."""
    from scipy import stats

    reach = float(stats.t.ppf((1 + confidence) / 2, resampling.degrees)) * resampling.inflation**0.5
    given = np.isfinite(values).sum(0) > 1
    spread = np.full(len(whole), np.nan)
    spread[given] = np.nanstd(values[:, given], axis=0, ddof=1)
    ends: NDArray[np.float64] = np.stack([whole - reach * spread, whole + reach * spread], axis=-1)
    return ends.clip(0.0, 1.0)


def _percentiles(values: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """Take both ends per column of ``(R, V)``, without the NaN of that column."""
    outside = (1 - confidence) / 2
    ends = np.full((values.shape[1], 2), np.nan)
    for column, end in zip(values.T, ends, strict=True):
        given = column[~np.isnan(column)]
        if given.size:
            end[:] = np.quantile(given, [outside, 1 - outside])
    return ends
