"""How sure a score is: bootstrap intervals over the images of a test set.

Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13, the percentile interval.
The image is the unit that is drawn again, because pixels of one image are not independent. A
resample is a vector of how often each image was drawn; since all our counts add over images, its
counts are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONFIDENCE", "bootstrap_interval", "bootstrap_values"]

CONFIDENCE = 0.95
"""Probability that an interval is meant to cover the score of a new test set's population."""

_CHUNK_BYTES = 64 * 2**20


def bootstrap_interval(
    per_image: NDArray[Any],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> NDArray[np.float64]:
    """Return the percentile interval of a statistic of summed counts.

    Args:
        per_image: Counts ``(N, ...)`` of N images; they add over images.
        statistic: Maps sums ``(R, ...)`` of R resamples to values ``(R, V)``; may give NaN.
        resamples: How many times the N images are drawn with replacement.
        seed: Equal seeds, counts and resamples give equal intervals, and every statistic sees the
            same resamples.
        confidence: Share of the resamples between the ends.

    Returns:
        float64 ``(V, 2)``, low and high; NaN where fewer than two images or no resample gave a
        value, since nothing can be said then.
    """
    per_image = np.asarray(per_image)
    if len(per_image) < 2 or resamples < 1:
        one = np.asarray(statistic(np.zeros((1, *per_image.shape[1:]))))
        return np.full((one.shape[-1], 2), np.nan)
    values = bootstrap_values(per_image, statistic, resamples=resamples, seed=seed)
    return _percentiles(values, confidence)


def bootstrap_values(
    per_image: NDArray[Any],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the statistic of every resample, float64 ``(R, V)``; see `bootstrap_interval`.

    Runs on the same images see the same resamples, so their values may be subtracted.
    """
    num_images = len(per_image)
    flat = per_image.reshape(num_images, -1).astype(np.float64)
    # A chunk holds the draws and the sums; all sums stay below 2^53, so they are exact.
    chunk = max(1, _CHUNK_BYTES // (8 * (num_images + flat.shape[1])))
    values = []
    for draws in _draws(num_images, resamples, chunk, seed):
        sums = (draws @ flat).reshape(len(draws), *per_image.shape[1:])
        values.append(np.asarray(statistic(sums)))
    return np.concatenate(values)


def _draws(num_images: int, resamples: int, chunk: int, seed: int) -> Iterable[NDArray[np.float64]]:
    """Say how often every resample takes every image, ``(R, N)`` in chunks of rows."""
    if chunk >= resamples:
        return (_all_draws(num_images, resamples, seed),)
    random, share = np.random.default_rng(seed), np.full(num_images, 1 / num_images)
    return (
        random.multinomial(num_images, share, size=min(chunk, resamples - start)).astype(np.float64)
        for start in range(0, resamples, chunk)
    )


@lru_cache(maxsize=1)  # all scores of all runs on the same images take the same draws
def _all_draws(num_images: int, resamples: int, seed: int) -> NDArray[np.float64]:
    random, share = np.random.default_rng(seed), np.full(num_images, 1 / num_images)
    return random.multinomial(num_images, share, size=resamples).astype(np.float64)


def _percentiles(values: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """Take both ends per column of ``(R, V)``, without the NaN of that column."""
    outside = (1 - confidence) / 2
    ends = np.full((values.shape[1], 2), np.nan)
    for column, end in zip(values.T, ends, strict=True):
        given = column[~np.isnan(column)]
        if given.size:
            end[:] = np.quantile(given, [outside, 1 - outside])
    return ends
