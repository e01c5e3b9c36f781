"""How many seeds a plan needs, by the spread of an earlier study or of cells that are done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from segloom.comparison.statistics.paired import LEVEL, MOST_SEEDS, POWER
from segloom.errors import DataError
from segloom.report.comparison_result import read_comparison

__all__ = ["StudySpread", "find_seeds", "read_spread", "smallest_found"]


@dataclass(frozen=True)
class StudySpread:
    """What differences of mIoU vary by, as shares."""

    seed_variance: float
    """Between seeds: the median over the comparisons."""
    image_variance: float
    """From the choice of the images, likewise."""
    image_degrees: float
    num_comparisons: int


def read_spread(folder: Path) -> StudySpread:
    """Read the spread of a study from its ``comparison.json``.

    Raises:
        DataError: There is no comparison with two seeds or more.
    """
    result = read_comparison(folder / "comparison.json")
    seeds, images, degrees = [], [], []
    for group in result.groups:
        for pair in group.pairs:
            score = pair.scores.get(result.primary)
            if score is None or not score.standard_error or score.seed_share is None:
                continue
            # A part that both hold counts to the images here; it is small beside either.
            variance = score.standard_error**2
            seeds.append(score.seed_share * variance * len(pair.seeds))
            images.append(max(0.0, 1 - score.seed_share) * variance)
            drawn = group.resampling
            degrees.append(group.num_images - 1.0 if drawn is None else drawn.degrees)
    if not seeds:
        raise DataError(
            f"{folder} has no comparison with two seeds or more, so it has no spread between "
            "seeds; name another study with --spread-from."
        )
    return StudySpread(
        float(np.median(seeds)), float(np.median(images)), float(np.median(degrees)), len(seeds)
    )


def smallest_found(spread: StudySpread, num_seeds: int, comparisons: int) -> float:
    """Return the gain that so many seeds find with the probability `POWER` after Holm, a share.

    The spread between seeds is estimated from all comparisons together, each with
    ``num_seeds - 1`` degrees of freedom.
    """
    from_seeds = spread.seed_variance / num_seeds
    variance = from_seeds + spread.image_variance
    share = from_seeds / variance if variance else 0.0
    degrees = max(1.0, (num_seeds - 1.0) * comparisons)
    tail = 1 - LEVEL / comparisons / 2
    needed = share * stats.t.ppf(tail, degrees)
    needed += (1 - share) * stats.t.ppf(tail, spread.image_degrees)
    together = 1 / (share**2 / degrees + (1 - share) ** 2 / spread.image_degrees)
    return float((needed + stats.t.ppf(POWER, together)) * variance**0.5)


def find_seeds(spread: StudySpread, comparisons: int, smallest_gain: float) -> int | None:
    """Return the fewest seeds that find a gain; None if `MOST_SEEDS` do not."""
    counts = range(2, MOST_SEEDS + 1)
    found = (n for n in counts if smallest_found(spread, n, comparisons) <= smallest_gain)
    return next(found, None)
