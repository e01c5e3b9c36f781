"""The layout of charts: from numbers to positions that ``charts.html.j2`` draws as inline SVG.

A chart is about as wide as a phone, so that its letters keep their size on every screen. Positions
are SVG units, x to the right and y down; colours and dashes come from the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

__all__ = [
    "Bar",
    "BarChart",
    "Line",
    "LineChart",
    "Tick",
    "bar_chart",
    "histogram_chart",
    "line_chart",
    "nice_ticks",
    "scale",
    "short_number",
    "whole_ticks",
]

WIDTH = 360
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 14, 186
TINY = 1e-290
"""Ranges below this are none: their steps have no logarithm in double precision."""
MAX_POINTS = 240
"""More points than pixels only make the file larger."""


@dataclass(frozen=True)
class Tick:
    """A position on an axis and what is written there."""

    position: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve: the path, and its points with their hover texts if they are few."""

    name: str
    path: str
    points: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class LineChart:
    """Curves over a common x axis."""

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_title: str
    mark: tuple[float, float, str] | None = None
    """A point to point out, with its text."""


@dataclass(frozen=True)
class Bar:
    """A bar, the series that it belongs to, its hover text and the number above it."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str
    label: str = ""


@dataclass(frozen=True)
class BarChart:
    """Bars, one group per x tick."""

    bars: tuple[Bar, ...]
    series: tuple[str, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_title: str
    mark: Tick | None = None
    """A vertical line with a text."""


def short_number(value: float) -> str:
    """Write a number in at most 3 significant digits, plainly where that is short."""
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        # From 999.5 on, three digits would be rounded to 1e+03.
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def nice_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Choose about ``count`` round numbers that cover ``low`` to ``high`` (a little beyond)."""
    if high - low < TINY:
        margin = 0.5 if abs(low) < TINY else abs(low) * 0.5
        low, high = low - margin, high + margin
    rough = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def whole_ticks(low: float, high: float) -> list[float]:
    """Choose round whole numbers inside ``low`` to ``high``, for epochs."""
    inside = [t for t in nice_ticks(low, high, count=6) if low <= t <= high and t == round(t)]
    return inside or [low]


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return the function that takes ``low`` to ``start`` and ``high`` to ``end``."""
    span = high - low or 1.0
    return lambda value: round(start + (value - low) / span * (end - start), 1)


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    label: Callable[[float], str] = short_number,
    x_title: str = "epoch",
    mark: tuple[float, float, str] | None = None,
) -> LineChart | None:
    """Lay out curves of (x, y) points; a series without points is left out.

    Args:
        series: Points by name, in rising x.
        label: How a y value is written.
        x_title: What x is.
        mark: x, y and text of a point to point out.

    Returns:
        The chart, or None when no series has a point.
    """
    series = {name: _thin(points) for name, points in series.items() if points}
    if not series:
        return None
    xs, ys = zip(*chain.from_iterable(series.values()), strict=True)
    y_values = nice_ticks(min(ys), max(ys))
    margin = 0.0 if max(xs) > min(xs) else 0.5  # a lone epoch stands in the middle
    to_x = scale(min(xs) - margin, max(xs) + margin, LEFT + 6, RIGHT - 6)
    to_y = scale(y_values[0], y_values[-1], BOTTOM, TOP)
    lines = [
        _line(name, [(to_x(x), to_y(y), f"{x_title} {x:g}: {label(y)}") for x, y in points])
        for name, points in series.items()
    ]
    return LineChart(
        lines=tuple(lines),
        x_ticks=tuple(Tick(to_x(x), f"{x:g}") for x in whole_ticks(min(xs), max(xs))),
        y_ticks=tuple(Tick(to_y(y), label(y)) for y in y_values),
        x_title=x_title,
        mark=None if mark is None else (to_x(mark[0]), to_y(mark[1]), mark[2]),
    )


def _line(name: str, places: Sequence[tuple[float, float, str]]) -> Line:
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y, _ in places)
    return Line(name, path, tuple(places) if len(places) <= MAX_POINTS // 4 else ())


def _thin(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Keep every n-th point and the last."""
    step = -(-len(points) // MAX_POINTS)
    return points if step <= 1 else [*points[:-1:step], points[-1]]


def _percent_axis(top: float) -> tuple[tuple[Tick, ...], Callable[[float], float]]:
    """Make the y axis of shares from 0 to at least ``top``."""
    values = nice_ticks(0.0, max(min(top, 1.0), 0.05))
    to_y = scale(0.0, values[-1], BOTTOM, TOP)
    digits = 0 if values[1] >= 0.05 else 1  # below are steps of 2.5 per cent and less
    return tuple(Tick(to_y(v), f"{v * 100:.{digits}f} %") for v in values), to_y


def bar_chart(
    groups: Sequence[str], series: Mapping[str, Sequence[float | None]], *, x_title: str
) -> BarChart | None:
    """Lay out grouped bars of shares from 0 to 1; None has no bar.

    Returns:
        The chart, or None when there is nothing to draw.
    """
    values = [value for column in series.values() for value in column if value is not None]
    if not groups or not values:
        return None
    y_ticks, to_y = _percent_axis(max(values))
    pitch = (RIGHT - LEFT) / len(groups)
    width = min(0.72 * pitch / len(series), 34.0)
    bars = []
    for order, (name, column) in enumerate(series.items()):
        for index, value in enumerate(column):
            if value is None:
                continue
            x = LEFT + pitch * (index + 0.5) + width * (order - len(series) / 2)
            text = f"{groups[index]}, {name}: {value * 100:.1f} %"
            label = f"{value * 100:.0f}" * (width >= 16)
            y = to_y(min(max(value, 0.0), 1.0))
            bars.append(Bar(round(x, 1), y, round(width - 1.5, 1), BOTTOM - y, order, text, label))
    step = -(-len(groups) // 8)
    ticks = [Tick(round(LEFT + pitch * (i + 0.5), 1), g) for i, g in enumerate(groups)]
    return BarChart(tuple(bars), tuple(series), tuple(ticks[::step]), y_ticks, x_title)


def histogram_chart(
    values: Sequence[float], *, x_title: str, num_bins: int = 20
) -> BarChart | None:
    """Lay out how many of the shares (0 to 1) fall into each of ``num_bins`` equal bins.

    The median is marked. Returns None without values.
    """
    if not values:
        return None
    clipped = [min(max(value, 0.0), 1.0) for value in values]
    counts = [0] * num_bins
    for value in clipped:
        counts[min(int(value * num_bins), num_bins - 1)] += 1
    y_values = [tick for tick in nice_ticks(0, max(counts)) if tick == round(tick)]
    to_x = scale(0.0, 1.0, LEFT, RIGHT)
    to_y = scale(0.0, max(y_values[-1], max(counts)), BOTTOM, TOP + 14)  # room for the mark
    bars = []
    for index, count in enumerate(counts):
        low, high = index / num_bins, (index + 1) / num_bins
        text = f"{low * 100:g} to {high * 100:g} %: {count} image{'s' * (count != 1)}"
        x, y = to_x(low), to_y(count)
        if count:
            bars.append(Bar(x + 0.5, y, round(to_x(high) - x - 1, 1), BOTTOM - y, 0, text))
    middle = median(clipped)
    return BarChart(
        tuple(bars),
        ("images",),
        tuple(Tick(to_x(v / 5), f"{v * 20} %") for v in range(6)),
        tuple(Tick(to_y(v), f"{v:g}") for v in y_values),
        x_title,
        Tick(to_x(middle), f"median {middle * 100:.1f} %"),
    )
