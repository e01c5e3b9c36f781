"""The layout of charts, to the unit: every position here follows from the frame by hand."""

from __future__ import annotations

import re

import pytest

from segloom.report.plots import (
    Bar,
    Tick,
    bar_chart,
    histogram_chart,
    line_chart,
    nice_ticks,
    scale,
    short_number,
    whole_ticks,
)


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 1, 3, [0, 0.5, 1]),
        (0.1, 0.9, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-3, 5, 5, [-4, -2, 0, 2, 4, 6]),
        (0, 0, 5, [-0.5, -0.25, 0, 0.25, 0.5]),
        (-4, -4, 5, [-6, -5, -4, -3, -2]),
    ],
)
def test_ticks_have_the_next_round_step_and_reach_beyond_both_ends(
    low: float, high: float, count: int, expected: list[float]
) -> None:
    assert nice_ticks(low, high, count=count) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 6, [1, 2, 3, 4, 5, 6]),
        (1, 2, [1, 2]),
        (1, 100, [20, 40, 60, 80, 100]),
        (0.25, 0.75, [0.25]),
    ],
)
def test_epochs_are_whole_and_inside_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    assert whole_ticks(low, high) == expected


@pytest.mark.parametrize(
    ("ends", "value", "position"),
    [
        ((0, 10, 100, 200), 5, 150.0),
        ((0, 1, 186, 14), 0.25, 143.0),
        ((0, 3, 0, 10), 1, 3.3),
        ((3, 3, 10, 20), 3, 10.0),
    ],
)
def test_a_scale_is_linear_and_rounds_to_a_tenth(
    ends: tuple[float, float, float, float], value: float, position: float
) -> None:
    assert scale(*ends)(value) == position


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01, "0.01"),
        (0.00999, "9.99e-3"),
        (999.4, "999"),
        (999.6, "1000"),
        (-999.6, "-1000"),
        (9999, "9999"),
        (10000, "1e4"),
    ],
)
def test_numbers_are_plain_from_a_hundredth_to_ten_thousand(value: float, text: str) -> None:
    assert short_number(value) == text


def test_a_curve_fills_the_frame() -> None:
    chart = line_chart({"loss": [(1, 0), (3, 1)]}, mark=(2, 0.5, "here"))
    assert chart is not None
    assert chart.lines[0].path == "M52 186L344 14"
    assert chart.lines[0].points == ((52.0, 186.0, "epoch 1: 0"), (344.0, 14.0, "epoch 3: 1"))
    assert chart.x_ticks == (Tick(52.0, "1"), Tick(198.0, "2"), Tick(344.0, "3"))
    positions = [(tick.position, tick.label) for tick in chart.y_ticks]
    assert positions == [(186, "0"), (143, "0.25"), (100, "0.5"), (57, "0.75"), (14, "1")]
    assert chart.mark == (198.0, 100.0, "here")


def test_a_lone_point_is_in_the_middle() -> None:
    chart = line_chart({"loss": [(5, 0.5)]})
    assert chart is not None
    assert chart.lines[0].path == "M198 100"
    assert chart.x_ticks == (Tick(198.0, "5"),)


@pytest.mark.parametrize(
    ("number", "drawn", "hovered"), [(60, 60, 60), (61, 61, 0), (240, 240, 0), (241, 121, 0)]
)
def test_above_240_points_every_second_is_drawn_and_above_60_none_has_a_text(
    number: int, drawn: int, hovered: int
) -> None:
    chart = line_chart({"loss": [(float(x), 1.0) for x in range(number)]})
    assert chart is not None
    assert len(re.findall("[ML]", chart.lines[0].path)) == drawn
    assert len(chart.lines[0].points) == hovered


def test_bars_stand_side_by_side_around_the_middle_of_their_group() -> None:
    chart = bar_chart(["a", "b"], {"IoU": [0.5, 1.5], "recall": [None, -0.5]}, x_title="size")
    assert chart is not None
    assert chart.bars == (
        Bar(88.0, 100.0, 32.5, 86.0, 0, "a, IoU: 50.0 %", "50"),
        Bar(240.0, 14.0, 32.5, 172.0, 0, "b, IoU: 150.0 %", "150"),
        Bar(274.0, 186.0, 32.5, 0.0, 1, "b, recall: -50.0 %", "-50"),
    )
    assert chart.series == ("IoU", "recall")
    assert chart.x_ticks == (Tick(122.0, "a"), Tick(274.0, "b"))


@pytest.mark.parametrize(("groups", "named"), [("abcdefgh", "abcdefgh"), ("abcdefghi", "acegi")])
def test_of_more_than_8_groups_every_second_is_named(groups: str, named: str) -> None:
    chart = bar_chart(list(groups), {"IoU": [0.5] * len(groups)}, x_title="")
    assert chart is not None
    assert [tick.label for tick in chart.x_ticks] == list(named)


@pytest.mark.parametrize(("groups", "label"), [(13, "50"), (14, "")])
def test_a_bar_of_under_16_units_has_no_number(groups: int, label: str) -> None:
    chart = bar_chart(["g"] * groups, {"IoU": [0.5] * groups}, x_title="")
    assert chart is not None
    assert {bar.label for bar in chart.bars} == {label}


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        (0.01, ["0.0 %", "2.0 %", "4.0 %", "6.0 %"]),
        (0.1, ["0.0 %", "2.5 %", "5.0 %", "7.5 %", "10.0 %"]),
        (0.2, ["0 %", "5 %", "10 %", "15 %", "20 %"]),
        (3.0, ["0 %", "25 %", "50 %", "75 %", "100 %"]),
    ],
)
def test_an_axis_of_shares_says_exactly_where_its_ticks_are(
    value: float, labels: list[str]
) -> None:
    chart = bar_chart(["a"], {"IoU": [value]}, x_title="")
    assert chart is not None
    assert [tick.label for tick in chart.y_ticks] == labels


def test_a_histogram_puts_the_lower_end_into_its_bin_and_1_into_the_last() -> None:
    chart = histogram_chart([1.7, 1.0, -0.5, 0.05, 1.0], x_title="mIoU")
    assert chart is not None
    assert [bar.title for bar in chart.bars] == [
        "0 to 5 %: 1 image",
        "5 to 10 %: 1 image",
        "95 to 100 %: 3 images",
    ]
    first, _, last = chart.bars
    assert (first.x, first.width) == (46.5, 14.2)
    assert (last.y, last.height) == (28.0, 158.0)
    assert chart.mark == Tick(350.0, "median 100.0 %")
    assert [tick.label for tick in chart.x_ticks] == [
        "0 %",
        "20 %",
        "40 %",
        "60 %",
        "80 %",
        "100 %",
    ]
    assert [tick.label for tick in chart.y_ticks] == ["0", "1", "2", "3"]


def test_hover_texts_use_the_words_and_the_format_of_the_axes() -> None:
    chart = line_chart({"loss": [(1.5, 2)]}, x_title="step", label=lambda y: f"{y} points")
    assert chart is not None
    assert chart.lines[0].points[0][2] == "step 1.5: 2 points"
