"""What a comparison shows: helps, hurts, practically equal or undecided.

Three families of p-values, each adjusted by Holm: of the differences, of the two one-sided tests
against the smallest gain of interest, and of the general gains.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import SupportsFloat

from segloom.comparison.statistics.paired import LEVEL, POWER, PairedDifferences, holm
from segloom.report.comparison_result import ComparedPair, PlainDifference, ScoreDifference

__all__ = ["PRIMARY", "Measurement", "adjust", "finite", "general_verdict", "rule"]

PRIMARY = "mIoU"
"""The score that the verdict is about."""


@dataclass(frozen=True)
class Measurement:
    """A pair with the statistics behind its numbers; None where no seed of both is done."""

    pair: ComparedPair
    found: PairedDifferences | None
    plain: PairedDifferences | None
    """With the spread of its own seeds alone; the same object if nothing was borrowed."""


def rule(smallest_gain: float, spread: str, level: float = LEVEL) -> str:
    """Describe by what rule the verdicts come."""
    borrowed = (
        "The spread between seeds is estimated from all comparisons together. "
        if spread == "moderated"
        else ""
    )
    shared = (
        f"Several looks share the level of {LEVEL:g}; what an earlier one decided stays. "
        if level < LEVEL
        else ""
    )
    return (
        "helps or hurts: the p-value of the mIoU difference, adjusted by Holm over all comparisons "
        f"of this table, is below {level:.2g}. practically equal: so is that of two one-sided "
        f"tests against a gain or loss of {100 * smallest_gain:g} points. Otherwise undecided, "
        "with the number of further seeds that would find such a gain with a probability of "
        f"{POWER:.0%}. {borrowed}{shared}With one seed there is no p-value and no verdict: what "
        "another seed would do is unknown."
    )


def adjust(measurements: Sequence[Measurement], smallest_gain: float, level: float = LEVEL) -> None:
    """Add what depends on the whole family: adjusted p-values, smallest gains, verdicts."""
    compared = [item for item in measurements if item.found is not None]
    names = dict.fromkeys(name for item in compared for name in item.pair.scores)
    for item in compared:
        _add_detectable(item, len(compared), smallest_gain)
    for name in names:
        family = [item.pair.scores[name] for item in compared if name in item.pair.scores]
        _holm(family)
    for item in measurements:
        _decide(item, len(compared), smallest_gain, level)


def _add_detectable(item: Measurement, comparisons: int, smallest_gain: float) -> None:
    if item.found is None or item.plain is None:
        return
    scores = list(item.pair.scores.values())
    for score, value in zip(scores, item.found.detectable(comparisons), strict=True):
        score.detectable = _share(value)
    for score, value in zip(scores, item.found.equality_p_values(smallest_gain), strict=True):
        score.equal_p_value = finite(value)
    for score, value in zip(scores, item.plain.detectable(comparisons), strict=True):
        if score.plain is not None:
            score.plain.detectable = _share(value)


def _holm(family: Sequence[ScoreDifference]) -> None:
    plain = [score.plain for score in family if score.plain is not None]
    _holm_of(family)
    _holm_of(plain)
    equal = holm([_number(score.equal_p_value) for score in family])
    for score, value in zip(family, equal, strict=True):
        score.equal_p_value = finite(value)


def _holm_of(family: Sequence[ScoreDifference | PlainDifference]) -> None:
    adjusted = holm([_number(score.p_value) for score in family])
    for score, value in zip(family, adjusted, strict=True):
        score.holm_p_value = finite(value)


def _decide(item: Measurement, comparisons: int, smallest_gain: float, level: float) -> None:
    pair, found = item.pair, item.found
    score = pair.scores.get(PRIMARY)
    if found is None or score is None or score.difference is None:
        return
    if len(pair.seeds) == 1:
        pair.verdict = "one seed"
    elif not score.standard_error and not score.difference:
        pair.verdict = "practically equal"  # the runs are the same
    elif _is_below(score.holm_p_value, level):
        pair.verdict = "helps" if score.difference > 0 else "hurts"
        ends = score.equal_interval
        pair.is_less_than_asked = (
            pair.verdict == "helps" and ends is not None and ends[1] < smallest_gain
        )
    elif _is_below(score.equal_p_value, level):
        pair.verdict = "practically equal"
    else:
        pair.verdict = "undecided"
        column = list(pair.scores).index(PRIMARY)
        pair.further_seeds = found.further_seeds(smallest_gain, comparisons, column=column)


def general_verdict(
    difference: float,
    holm_p_value: float,
    equal_ends: Iterable[float],
    smallest_gain: float,
    *,
    level: float = LEVEL,
) -> str:
    """Describe what a general gain shows; ``equal_ends`` are those of its 90 % interval."""
    if holm_p_value < level:
        return "helps" if difference > 0 else "hurts"
    low, high = equal_ends
    return "practically equal" if -smallest_gain < low and high < smallest_gain else "undecided"


def _is_below(p_value: float | None, level: float) -> bool:
    return p_value is not None and p_value < level


def _share(value: float) -> float | None:
    """Return a gain that scores can have; None where only an impossible one would be found."""
    return finite(value) if value <= 1 else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def finite(number: SupportsFloat) -> float | None:
    """Return a number as JSON can hold it: None for NaN and infinity."""
    number = float(number)
    return number if math.isfinite(number) else None
