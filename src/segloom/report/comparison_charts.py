"""What the charts of a comparison show: gains, courses over the epochs, cost beside gain.

Positions are `comparison_plots`'; ``comparison_charts.html.j2`` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from segloom.report import comparison_words as words
from segloom.report.comparison_plots import (
    Courses,
    Difference,
    Forest,
    Strip,
    courses,
    forest,
    strip,
    strips,
)
from segloom.report.comparison_result import (
    ComparedGroup,
    ComparedPair,
    ComparedRow,
    ComparisonResult,
    ScoreDifference,
)

__all__ = ["Compared", "Cost", "CostRow", "cost_rows", "course_charts", "forests", "known_costs"]

MOST_CURVES = 5
"""Kinds beside the baseline in one chart; more of them get another chart."""


@dataclass(frozen=True)
class Compared:
    """A pair with its group, as the page shows it."""

    group: ComparedGroup
    pair: ComparedPair
    name: str
    against: str
    sentence: str
    kind: str
    """The verdict as a CSS class."""


@dataclass(frozen=True)
class Cost:
    """A measure of what a network costs."""

    key: str
    title: str
    unit: str
    factor: float
    form: str


COSTS = (
    Cost("parameters", "Parameters", "million", 1e-6, "{:.2f}"),
    Cost("multiply_adds", "Multiply-adds", "billion per image", 1e-9, "{:.2f}"),
    Cost("latency_seconds", "Latency", "ms per image", 1e3, "{:.1f}"),
    Cost("train_seconds", "Training time", "minutes", 1 / 60, "{:.1f}"),
    Cost("train_memory_gib", "Peak memory of training", "GiB", 1.0, "{:.2f}"),
    Cost("test_seconds", "Test", "seconds", 1.0, "{:.1f}"),
)


@dataclass(frozen=True)
class CostRow:
    """A network in the table of cost beside gain."""

    variant: str
    kind: str
    """The verdict as a CSS class; empty for the baseline."""
    gain: str
    strip: Strip | None
    """The gain on the axis that all rows share."""
    costs: tuple[tuple[str, float | None, Strip | None], ...]
    """Of each measure the value in words, its multiple of the baseline's, and a bar from there."""


def forests(comparison: ComparisonResult, pairs: Sequence[Compared]) -> list[Forest]:
    """Draw the differences of every shown score; only the primary one has verdicts."""
    found = [_forest(name, pairs, comparison.primary) for name in words.shown_scores(comparison)]
    return [chart for chart in found if chart]


def _forest(name: str, pairs: Sequence[Compared], primary: str) -> Forest | None:
    found = [(item, item.pair.scores.get(name)) for item in pairs]
    return forest(
        words.score_words(name),
        [
            _difference(item, score, _kind(item, name == primary))
            for item, score in found
            if score is not None
        ],
    )


def _kind(item: Compared, is_primary: bool) -> str:
    return item.kind if is_primary or item.kind == "open" else "plain"


def _difference(item: Compared, score: ScoreDifference, kind: str) -> Difference:
    ends, value, smallest = score.interval, score.difference, score.detectable
    return Difference(
        group=words.title(item.group),
        label=item.pair.variant,
        kind=kind,
        text=words.gain(score) or "does not exist",
        value=None if value is None else 100 * value,
        interval=None if ends is None else (100 * ends[0], 100 * ends[1]),
        per_seed=tuple(100 * seed for seed in score.per_seed if seed is not None),
        # With one seed there is no verdict, so nothing is said about what would be found.
        detectable=None if smallest is None or len(score.per_seed) < 2 else 100 * smallest,
    )


def course_charts(comparison: ComparisonResult) -> list[tuple[str, Courses]]:
    """Draw the validation mIoU over the epochs, group by group, with what the seeds span."""
    charts = []
    for group in comparison.groups:
        for rows in _divided(group, comparison.baseline):
            chart = courses(
                {
                    row.variant: [(p.epoch, p.mean, p.low, p.high) for p in row.course]
                    for row in rows
                }
            )
            if chart:
                charts.append((words.title(group), chart))
    return charts


def _divided(group: ComparedGroup, baseline: str) -> Iterator[list[ComparedRow]]:
    """Divide the kinds whose course is known over charts; the baseline is in each."""
    known = [row for row in group.rows if row.course]
    base = [row for row in known if row.variant == baseline]
    others = [row for row in known if row.variant != baseline]
    for start in range(0, max(len(others), 1), MOST_CURVES):
        yield [*base, *others[start : start + MOST_CURVES]]


def known_costs(comparison: ComparisonResult) -> list[Cost]:
    """Choose the measures of cost that any network has."""
    rows = [row.cost for group in comparison.groups for row in group.rows]
    return [cost for cost in COSTS if any(row.get(cost.key) is not None for row in rows)]


def cost_rows(
    comparison: ComparisonResult, pairs: Sequence[Compared]
) -> list[tuple[str, list[CostRow]]]:
    """Set the costs of every network beside its gain, group by group."""
    place = strips(_ends(comparison, pairs), around=0.0)
    ratios = {
        cost: strips(_ratios(comparison, cost.key), around=1.0) for cost in known_costs(comparison)
    }
    shown = []
    for group in comparison.groups:
        own = {item.pair.variant: item for item in pairs if item.group is group}
        rows = []
        for row in group.rows:
            item = own.get(row.variant)
            score = item.pair.scores.get(comparison.primary) if item else None
            rows.append(
                CostRow(
                    variant=row.variant,
                    kind=item.kind if item else "",
                    gain=words.gain(score) if score else "",
                    strip=_gain_strip(place, score),
                    costs=tuple(_costs(row, group, ratios, is_compared=item is not None)),
                )
            )
        shown.append((words.title(group), rows))
    return shown


def _costs(
    row: ComparedRow,
    group: ComparedGroup,
    ratios: Mapping[Cost, Callable[[float], float]],
    *,
    is_compared: bool,
) -> Iterator[tuple[str, float | None, Strip | None]]:
    """Return the costs of a network; only one that is compared is set beside the baseline."""
    for cost, place in ratios.items():
        value = row.cost.get(cost.key)
        ratio = _ratio(group, row.variant, cost.key) if is_compared else None
        text = "" if value is None else cost.form.format(value * cost.factor)
        yield text, ratio, None if ratio is None else strip(place, ratio, around=1.0)


def _ends(comparison: ComparisonResult, pairs: Sequence[Compared]) -> Iterator[float]:
    for item in pairs:
        score = item.pair.scores.get(comparison.primary)
        if score is not None and score.difference is not None:
            yield from (score.difference, *(score.interval or ()))


def _gain_strip(place: Callable[[float], float], score: ScoreDifference | None) -> Strip | None:
    if score is None or score.difference is None or score.interval is None:
        return None
    low, high = score.interval
    return strip(place, score.difference, (low, high), around=0.0)


def _ratios(comparison: ComparisonResult, key: str) -> Iterator[float]:
    for group in comparison.groups:
        found = (_ratio(group, row.variant, key) for row in group.rows)
        yield from (ratio for ratio in found if ratio is not None)


def _ratio(group: ComparedGroup, variant: str, key: str) -> float | None:
    """Return a cost as a multiple of the baseline's; None where either is not known."""
    costs = {row.variant: row.cost.get(key) for row in group.rows}
    baseline = group.rows[0].variant  # it stands first
    own, base = costs.get(variant), costs.get(baseline)
    return own / base if own is not None and base else None
