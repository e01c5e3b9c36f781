"""The layout of a comparison's charts: differences with intervals, courses, cost beside gain.

Like `plots`, it turns numbers into positions; ``comparison_charts.html.j2`` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from segloom.report.plots import BOTTOM, LEFT, RIGHT, TOP, Tick, nice_ticks, scale, whole_ticks

__all__ = [
    "Course",
    "Courses",
    "Difference",
    "Forest",
    "ForestRow",
    "Strip",
    "courses",
    "forest",
    "strip",
    "strips",
]

ROW, HEAD = 40, 24
FOREST_LEFT, FOREST_RIGHT = 12, 348

EpochPoint: TypeAlias = tuple[int, float, float, float]
"""Epoch, then mean, lowest and highest of several runs."""


@dataclass(frozen=True)
class Difference:
    """A difference of two kinds of runs, in points; what does not exist is None."""

    group: str
    label: str
    kind: str
    """The verdict as a CSS class: helps, hurts, none, open."""
    text: str
    """The numbers."""
    value: float | None
    interval: tuple[float, float] | None
    per_seed: tuple[float, ...]
    detectable: float | None


@dataclass(frozen=True)
class ForestRow:
    """Positions of one difference; ``y`` is its line, the words stand above it."""

    y: float
    label: str
    text: str
    kind: str
    x: float | None
    line: tuple[float, float] | None
    """Ends of the interval."""
    band: tuple[float, float] | None
    """What the study would not find: from minus to plus the detectable difference."""
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class Forest:
    """Differences below each other on one axis."""

    title: str
    rows: tuple[ForestRow, ...]
    heads: tuple[Tick, ...]
    """Names of the groups and where they stand."""
    ticks: tuple[Tick, ...]
    zero: float
    bottom: float
    height: float


@dataclass(frozen=True)
class Course:
    """The mean of several runs over the epochs, and the band between their lowest and highest."""

    name: str
    line: str
    """Path."""
    band: str
    """Closed path; empty where all runs are the same."""
    end: tuple[float, float, str]
    """Last point and its text."""


@dataclass(frozen=True)
class Courses:
    """Courses over common axes; shares, written in per cent."""

    lines: tuple[Course, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_title: str = "epoch"


@dataclass(frozen=True)
class Strip:
    """A value or an interval on a narrow axis, everything in per cent of its width."""

    start: float
    width: float
    point: float | None
    origin: float


def forest(title: str, differences: Sequence[Difference]) -> Forest | None:
    """Lay out differences, group by group; None when none of them exists."""
    if all(item.value is None for item in differences):
        return None
    values = [0.0, *chain.from_iterable(map(_drawn, differences))]
    ticks = nice_ticks(min(values), max(values))
    to_x = scale(ticks[0], ticks[-1], FOREST_LEFT, FOREST_RIGHT)
    rows, heads, y, group = [], [], 4.0, None
    has_groups = len({item.group for item in differences}) > 1
    for item in differences:
        if has_groups and item.group != group:
            y += HEAD
            heads.append(Tick(y - 6, item.group))
        group = item.group
        y += ROW
        rows.append(_forest_row(item, y - 12, to_x))
    return Forest(
        title=title,
        rows=tuple(rows),
        heads=tuple(heads),
        ticks=tuple(Tick(to_x(value), f"{value:g}") for value in ticks),
        zero=to_x(0.0),
        bottom=y,
        height=y + 36,
    )


def _drawn(item: Difference) -> list[float]:
    """List every number that is drawn of a difference."""
    ends = (*(item.interval or ()), *(_undetectable(item) or ()))
    return [value for value in (item.value, *item.per_seed, *ends) if value is not None]


def _undetectable(item: Difference) -> tuple[float, float] | None:
    """Return the range of differences that the study would not find."""
    if item.value is None or item.detectable is None:
        return None
    return -item.detectable, item.detectable


def _forest_row(item: Difference, y: float, to_x: Callable[[float], float]) -> ForestRow:
    return ForestRow(
        y=y,
        label=item.label,
        text=item.text,
        kind=item.kind,
        x=None if item.value is None else to_x(item.value),
        line=_ends(to_x, item.interval),
        band=_ends(to_x, _undetectable(item)),
        seeds=tuple(to_x(value) for value in item.per_seed),
    )


def courses(
    series: Mapping[str, Sequence[EpochPoint]],
) -> Courses | None:
    """Lay out the courses of kinds of runs.

    The first quarter is left out where enough is left: its rise would hide all differences.

    Args:
        series: By name, (epoch, mean, lowest, highest) in rising epochs, shares from 0 to 1.

    Returns:
        The chart, or None when no series has two points or more.
    """
    shown = {name: _late(points) for name, points in series.items() if len(points) > 1}
    if not shown:
        return None
    epochs, _, lows, highs = zip(*chain.from_iterable(shown.values()), strict=True)
    y_values = nice_ticks(100 * min(*lows, *highs), 100 * max(*lows, *highs))
    to_x = scale(min(epochs), max(epochs), LEFT + 6, RIGHT - 6)
    to_y = scale(y_values[0], y_values[-1], BOTTOM, TOP)
    return Courses(
        lines=tuple(_course(name, points, to_x, to_y) for name, points in shown.items()),
        x_ticks=tuple(Tick(to_x(x), f"{x:g}") for x in whole_ticks(min(epochs), max(epochs))),
        y_ticks=tuple(Tick(to_y(value), f"{value:g} %") for value in y_values),
    )


def _course(
    name: str,
    points: Sequence[EpochPoint],
    to_x: Callable[[float], float],
    to_y: Callable[[float], float],
) -> Course:
    upper = [f"{to_x(x):g} {to_y(100 * high):g}" for x, _, _, high in points]
    lower = [f"{to_x(x):g} {to_y(100 * low):g}" for x, _, low, _ in reversed(points)]
    is_wide = any(low < high for _, _, low, high in points)
    epoch, mean, low, high = points[-1]
    text = f"{name}, epoch {epoch}: {100 * mean:.1f} %"
    return Course(
        name=name,
        line="M" + "L".join(f"{to_x(x):g} {to_y(100 * y):g}" for x, y, _, _ in points),
        band="M" + "L".join([*upper, *lower]) + "Z" if is_wide else "",
        end=(
            to_x(epoch),
            to_y(100 * mean),
            f"{text} ({100 * low:.1f} to {100 * high:.1f})" if is_wide else text,
        ),
    )


def _late(points: Sequence[EpochPoint]) -> Sequence[EpochPoint]:
    """Leave out the first quarter of the epochs, if four points or more remain."""
    late = [point for point in points if point[0] > points[-1][0] / 4]
    return late if len(late) > 3 else points


def strips(values: Iterable[float], *, around: float) -> Callable[[float], float]:
    """Return the axis of strips, 0 to 100, that holds the values and ``around``."""
    held = [around, *values]
    return scale(min(held), max(held), 1.0, 99.0)


def strip(
    place: Callable[[float], float],
    value: float,
    interval: tuple[float, float] | None = None,
    *,
    around: float,
) -> Strip:
    """Lay out an interval with its point, or a bar from ``around`` to a value."""
    low, high = interval or sorted((around, value))
    start, end = place(low), place(high)
    point = place(value) if interval else None
    return Strip(start, round(end - start, 1), point, place(around))


def _ends(
    place: Callable[[float], float], interval: tuple[float, float] | None
) -> tuple[float, float] | None:
    return None if interval is None else (place(interval[0]), place(interval[1]))
