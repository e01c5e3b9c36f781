"""Charts: round ticks, positions inside the frame, and nothing where there is nothing."""

from __future__ import annotations

import html
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, PackageLoader

from segloom.report.html import cut
from segloom.report.plots import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    bar_chart,
    histogram_chart,
    line_chart,
    nice_ticks,
    short_number,
)

finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(finite, finite)
def test_ticks_cover_the_range_in_equal_round_steps(first: float, second: float) -> None:
    low, high = sorted((first, second))
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    slack = step * 1e-6 + max(abs(low), abs(high)) * 1e-9
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 12
    assert all(abs((b - a) - step) <= slack for a, b in pairwise(ticks))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (0, 87, [0, 25, 50, 75, 100]), (0, 3, [0, 1, 2, 3])],
)
def test_ticks_of_common_ranges(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.001, "1e-3"),
        (0.00025, "2.5e-4"),
        (0.25, "0.25"),
        (12.345, "12.3"),
        (4321, "4321"),
        (1234567, "1.23e6"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_written_shortly(value: float, text: str) -> None:
    assert short_number(value) == text


@given(st.lists(st.tuples(st.integers(0, 999), finite), min_size=1, max_size=30))
def test_curves_stay_inside_the_frame(points: list[tuple[float, float]]) -> None:
    chart = line_chart({"loss": sorted(points)}, mark=(*points[0], "here"))
    assert chart is not None
    places = [tuple(map(float, pair.split())) for pair in chart.lines[0].path[1:].split("L")]
    assert chart.mark is not None
    for x, y in [*places, chart.mark[:2]]:
        assert LEFT <= x <= RIGHT
        assert TOP - 0.1 <= y <= BOTTOM + 0.1


def test_higher_values_are_drawn_higher_and_later_ones_further_right() -> None:
    chart = line_chart({"mIoU": [(1, 0.1), (2, 0.5)], "empty": []})
    assert chart is not None
    assert [line.name for line in chart.lines] == ["mIoU"]
    (x1, y1, _), (x2, y2, title) = chart.lines[0].points
    assert x2 > x1
    assert y2 < y1
    assert title == "epoch 2: 0.5"


def test_long_histories_are_thinned_but_keep_their_end() -> None:
    chart = line_chart({"loss": [(float(e), 1.0 / e) for e in range(1, 5001)]})
    assert chart is not None
    places = re.split("[ML]", chart.lines[0].path)[1:]
    assert len(places) <= 260
    assert float(places[-1].split()[0]) == RIGHT - 6
    assert chart.lines[0].points == ()


def test_charts_without_values_are_none() -> None:
    assert line_chart({"loss": []}) is None
    assert bar_chart(["small"], {"IoU": [None]}, x_title="size") is None
    assert bar_chart([], {"IoU": []}, x_title="size") is None
    assert histogram_chart([], x_title="mIoU") is None


def test_bars_leave_out_what_is_missing() -> None:
    chart = bar_chart(["small", "large"], {"IoU": [0.2, 0.8], "recall": [None, 1.0]}, x_title="")
    assert chart is not None
    assert [bar.title for bar in chart.bars] == [
        "small, IoU: 20.0 %",
        "large, IoU: 80.0 %",
        "large, recall: 100.0 %",
    ]
    assert chart.bars[1].height == pytest.approx(4 * chart.bars[0].height, rel=0.01)
    assert [bar.series for bar in chart.bars] == [0, 0, 1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_histogram_counts_every_image_once(values: list[float]) -> None:
    chart = histogram_chart(values, x_title="mIoU")
    assert chart is not None
    counts = [int(re.findall(r": (\d+) image", bar.title)[0]) for bar in chart.bars]
    assert sum(counts) == len(values)
    assert all(bar.height <= BOTTOM - TOP for bar in chart.bars)


def test_histogram_marks_the_median() -> None:
    chart = histogram_chart([0.1, 0.2, 0.6, 0.8], x_title="mIoU")
    assert chart is not None
    assert chart.mark is not None
    assert chart.mark.label == "median 40.0 %"


def test_labels_below_bars_wrap_before_they_touch() -> None:
    groups = ["< 256 px", "256-1023 px", "1024-4095 px", ">= 4096 px"]
    chart = bar_chart(groups, {"IoU": [0.2, 0.4, 0.6, 0.8]}, x_title="object size")
    assert chart is not None
    environment = Environment(loader=PackageLoader("segloom", "report"), autoescape=True)
    environment.filters["cut"] = cut
    drawn = environment.get_template("charts.html.j2").module.bars(chart, "IoU by object size")
    lines = re.findall(r"<tspan[^>]*>([^<]*)</tspan>", drawn)
    pitch = chart.x_ticks[1].position - chart.x_ticks[0].position
    assert "1024-4095" in lines
    assert max(len(html.unescape(line)) for line in lines) * 7 <= pitch
