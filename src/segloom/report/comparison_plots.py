"""The layout of a comparison's charts: differences with their intervals, and cost beside gain.

Like `plots`, it turns numbers into positions; ``comparison_charts.html.j2`` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from segloom.report.plots import BOTTOM, LEFT, RIGHT, TOP, Tick, nice_ticks, scale

__all__ = ["CostPoint", "Difference", "Forest", "ForestRow", "Tradeoff", "forest", "tradeoff"]

ROW, HEAD = 40, 24
FOREST_LEFT, FOREST_RIGHT = 12, 348
APART = 12
"""Least distance between two numbers beside their dots."""


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
class CostPoint:
    """A network in the chart of cost and gain; the number stands beside its dot."""

    number: int
    x: float
    y: float
    line: tuple[float, float] | None
    label_y: float
    on_front: bool
    title: str


@dataclass(frozen=True)
class Tradeoff:
    """Gain (upwards) against cost (to the right), and the front of what nothing else beats."""

    title: str
    points: tuple[CostPoint, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_title: str
    origin: tuple[float, float]
    """The network that the others are compared with: its own cost, no gain."""
    front: str
    """Path."""


def forest(title: str, differences: Sequence[Difference]) -> Forest | None:
    """Lay out differences, group by group; None when none of them exists."""
    values = [0.0]
    for item in differences:
        values += [v for v in (item.value, *(item.interval or ()), *item.per_seed) if v is not None]
        if item.value is not None and item.detectable is not None:
            values += [-item.detectable, item.detectable]
    if all(item.value is None for item in differences):
        return None
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
        band = None
        if item.value is not None and item.detectable is not None:
            band = (to_x(-item.detectable), to_x(item.detectable))
        rows.append(
            ForestRow(
                y=y - 12,
                label=item.label,
                text=item.text,
                kind=item.kind,
                x=None if item.value is None else to_x(item.value),
                line=None if item.interval is None else _ends(to_x, item.interval),
                band=band,
                seeds=tuple(to_x(value) for value in item.per_seed),
            )
        )
    return Forest(
        title=title,
        rows=tuple(rows),
        heads=tuple(heads),
        ticks=tuple(Tick(to_x(value), f"{value:g}") for value in ticks),
        zero=to_x(0.0),
        bottom=y,
        height=y + 36,
    )


def tradeoff(
    title: str, points: Sequence[tuple[int, float, Difference]], *, x_title: str
) -> Tradeoff | None:
    """Lay out cost and gain.

    Args:
        title: What the cost is.
        points: Number, cost as a multiple of the plain network's, and gain of every network.
        x_title: The cost with its unit.

    Returns:
        The chart, or None when there is no point.
    """
    known = [(n, cost, gain.value, gain) for n, cost, gain in points if gain.value is not None]
    if not known:
        return None
    costs = [1.0, *(cost for _, cost, _, _ in known)]
    gains = [0.0, *(value for _, _, value, _ in known)]
    gains += [end for _, _, _, item in known for end in item.interval or ()]
    x_values, y_values = nice_ticks(min(costs), max(costs)), nice_ticks(min(gains), max(gains))
    to_x = scale(x_values[0], x_values[-1], LEFT + 6, RIGHT - 16)
    to_y = scale(y_values[0], y_values[-1], BOTTOM, TOP)
    front = _front([(1.0, 0.0, 0), *((cost, value, number) for number, cost, value, _ in known)])
    steps = [(to_x(cost), to_y(value)) for cost, value, _ in front]
    path = f"M{steps[0][0]:g} {steps[0][1]:g}" + "".join(f"H{x:g}V{y:g}" for x, y in steps[1:])
    drawn = [
        CostPoint(
            number=number,
            x=to_x(cost),
            y=to_y(value),
            line=None if item.interval is None else _ends(to_y, item.interval),
            label_y=to_y(value),
            on_front=any(number == other for _, _, other in front),
            title=f"{item.label}: {item.text} points at {cost:.3g} times the cost",
        )
        for number, cost, value, item in known
    ]
    return Tradeoff(
        title=title,
        points=_spread(drawn),
        x_ticks=tuple(Tick(to_x(value), f"{value:g}×") for value in x_values),
        y_ticks=tuple(Tick(to_y(value), f"{value:g}") for value in y_values),
        x_title=x_title,
        origin=(to_x(1.0), to_y(0.0)),
        front=f"{path}H{RIGHT}",
    )


def _front(points: Sequence[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Keep the (cost, gain, number) whose gain nothing of the same or a lower cost reaches."""
    front: list[tuple[float, float, int]] = []
    for point in sorted(points, key=lambda p: (p[0], -p[1], p[2])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


def _spread(points: Sequence[CostPoint]) -> tuple[CostPoint, ...]:
    """Move numbers apart that would lie on each other."""
    placed: list[CostPoint] = []
    for point in sorted(points, key=lambda p: p.y):
        near = [other.label_y for other in placed if abs(other.x - point.x) < 2 * APART]
        placed.append(replace(point, label_y=max([point.y, *(y + APART for y in near)])))
    return tuple(sorted(placed, key=lambda p: p.number))


def _ends(place: Callable[[float], float], interval: tuple[float, float]) -> tuple[float, float]:
    return place(interval[0]), place(interval[1])
