"""Where the charts of a comparison put their points, intervals, bands and numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from segloom.report.comparison_plots import (
    FOREST_LEFT,
    FOREST_RIGHT,
    Difference,
    forest,
    tradeoff,
)
from segloom.report.plots import BOTTOM, LEFT, RIGHT, TOP


def difference(value: float | None, label: str = "afma", **options: object) -> Difference:
    fields = {
        "group": "unet",
        "kind": "none",
        "text": "words",
        "interval": None if value is None else (value - 1, value + 1),
        "per_seed": () if value is None else (value - 0.5, value + 0.5),
        "detectable": None,
        **options,
    }
    return Difference(label=label, value=value, **fields)


def test_points_lie_between_their_ends_on_one_axis() -> None:
    chart = forest("mIoU", [difference(2.0), difference(-1.0, "celt", detectable=1.5)])
    assert chart is not None
    first, second = chart.rows
    for row in chart.rows:
        assert FOREST_LEFT <= row.line[0] < row.seeds[0] < row.x < row.seeds[1] < row.line[1]
        assert row.line[1] <= FOREST_RIGHT
    assert second.x < chart.zero < first.x
    assert first.band is None
    assert second.band[0] < second.x < second.band[1]
    assert chart.zero - second.band[0] == pytest.approx(second.band[1] - chart.zero, abs=0.2)
    assert first.y < second.y < chart.bottom < chart.height
    per_point = (first.x - second.x) / 3
    assert first.x - chart.zero == pytest.approx(2 * per_point, abs=0.2)


def test_groups_have_heads_only_where_there_are_several() -> None:
    assert forest("mIoU", [difference(1.0), difference(2.0)]).heads == ()
    chart = forest("mIoU", [difference(1.0), difference(2.0), difference(3.0, group="fpn")])
    assert [head.label for head in chart.heads] == ["unet", "fpn"]
    assert chart.rows[1].y < chart.heads[1].position < chart.rows[2].y


def test_differences_that_do_not_exist_have_a_row_without_a_point() -> None:
    chart = forest("mIoU", [difference(1.0), difference(None)])
    assert chart.rows[1].x is None
    assert forest("mIoU", [difference(None)]) is None
    assert forest("mIoU", []) is None


def test_no_difference_at_all_still_has_an_axis() -> None:
    chart = forest("mIoU", [difference(0.0, interval=(0.0, 0.0), per_seed=())])
    assert chart.rows[0].x == chart.zero
    assert len(chart.ticks) >= 2


def test_front_keeps_what_nothing_of_the_same_or_lower_cost_beats() -> None:
    points = [
        (1, 1.2, difference(1.0, "a")),
        (2, 1.5, difference(0.5, "b")),  # dearer and worse than a
        (3, 2.0, difference(3.0, "c")),
        (4, 0.8, difference(-1.0, "d")),  # cheaper than the baseline
        (5, 1.2, difference(0.9, "e")),  # as dear as a
    ]
    chart = tradeoff("Parameters", points, x_title="times")
    assert [point.number for point in chart.points] == [1, 2, 3, 4, 5]
    assert [point.number for point in chart.points if point.on_front] == [1, 3, 4]
    by_number = {point.number: point for point in chart.points}
    assert by_number[4].x < chart.origin[0] < by_number[1].x < by_number[3].x
    assert by_number[3].y < by_number[1].y < chart.origin[1] < by_number[4].y
    assert chart.front.startswith(f"M{by_number[4].x:g} {by_number[4].y:g}H{chart.origin[0]:g}")
    for point in chart.points:
        assert LEFT <= point.x <= RIGHT
        assert all(TOP <= end <= BOTTOM for end in point.line)
    assert "c: words points at 2 times the cost" in by_number[3].title


def test_numbers_of_points_on_each_other_stand_apart() -> None:
    points = [(n, 1.1, difference(1.0 + n / 1000, str(n))) for n in range(1, 5)]
    places = sorted(point.label_y for point in tradeoff("c", points, x_title="x").points)
    assert all(second - first >= 12 for first, second in pairwise(places))


def test_no_cost_or_gain_has_no_chart() -> None:
    assert tradeoff("c", [], x_title="x") is None
    assert tradeoff("c", [(1, 2.0, difference(None))], x_title="x") is None
