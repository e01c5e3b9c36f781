"""Where the charts of a comparison put their points, intervals, bands and bars."""

from __future__ import annotations

import re

import pytest

from segloom.report.comparison_plots import (
    FOREST_LEFT,
    FOREST_RIGHT,
    Difference,
    courses,
    forest,
    strip,
    strips,
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


def test_courses_share_axes_and_bands_reach_from_the_lowest_to_the_highest_seed() -> None:
    series = {
        "none": [(epoch, 0.6, 0.58, 0.61) for epoch in range(1, 9)],
        "afma": [(epoch, 0.7, 0.7, 0.7) for epoch in range(1, 9)],
        "lone": [(8, 0.1, 0.1, 0.1)],
    }
    chart = courses(series)
    assert [line.name for line in chart.lines] == ["none", "afma"]
    none, afma = chart.lines
    assert afma.band == ""
    points = [tuple(map(float, part.split())) for part in re.split("[MLZ]", none.band) if part]
    xs, ys = zip(*points, strict=True)
    assert len(points) == 12  # the first two of eight epochs are left out, there and back
    assert (min(xs), max(xs)) == (LEFT + 6, RIGHT - 6)
    assert min(ys) < none.end[1] < max(ys)
    assert afma.end[1] < none.end[1]
    assert none.end[2] == "none, epoch 8: 60.0 % (58.0 to 61.0)"
    assert afma.end[2] == "afma, epoch 8: 70.0 %"
    assert all(TOP <= tick.position <= BOTTOM for tick in chart.y_ticks)
    assert [tick.label for tick in chart.x_ticks][-1] == "8"


def test_short_courses_are_shown_whole_and_single_points_not_at_all() -> None:
    chart = courses({"none": [(epoch, 0.5, 0.5, 0.5) for epoch in (1, 2, 3, 4)]})
    assert len(chart.lines[0].line.split("L")) == 4
    assert courses({"none": [(1, 0.5, 0.5, 0.5)]}) is None
    assert courses({}) is None


def test_strips_hold_every_value_and_begin_at_their_origin() -> None:
    place = strips([0.02, -0.01, 0.05], around=0.0)
    bar = strip(place, 0.02, (-0.01, 0.05), around=0.0)
    assert (bar.start, bar.start + bar.width) == (1.0, 99.0)
    assert bar.start < bar.origin < bar.point < bar.start + bar.width
    costs = strips([1.5, 0.5], around=1.0)
    dear, cheap = (strip(costs, ratio, around=1.0) for ratio in (1.5, 0.5))
    assert (dear.start, dear.width) == (50.0, 49.0)
    assert (cheap.start, cheap.width, cheap.origin) == (1.0, 49.0, 50.0)
    assert dear.point is cheap.point is None
    assert strip(strips([1.0], around=1.0), 1.0, around=1.0).width == 0
