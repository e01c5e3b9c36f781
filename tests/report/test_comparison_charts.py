"""What the charts of a comparison take from comparison.json: points, ratios and colours."""

from __future__ import annotations

from typing import Any

import pytest

from segloom.report.comparison_charts import (
    Compared,
    cost_rows,
    course_charts,
    forests,
    known_costs,
)
from segloom.report.comparison_plots import Difference, forest
from segloom.report.comparison_result import (
    ComparedGroup,
    ComparedPair,
    ComparedRow,
    ComparisonResult,
    CoursePoint,
    ScoreDifference,
    ScoreSummary,
)

COURSE = [CoursePoint(1, 0.4, 0.3, 0.5), CoursePoint(2, 0.5, 0.45, 0.55)]


def score(difference: float | None = 0.02, **values: Any) -> ScoreDifference:
    names = ("standard_error", "degrees", "seed_share", "p_value", "sign_flip_p_value")
    fields = {
        **dict.fromkeys((*names, "effect_size")),
        "per_seed": [0.01, None, 0.03],
        "interval": [-0.01, 0.05],
        "detectable": 0.04,
        **values,
    }
    return ScoreDifference(difference=difference, **fields)


def row(variant: str, cost: dict[str, float | None] | None = None, course=()) -> ComparedRow:
    scores = {name: ScoreSummary(0.5, None, [0.5]) for name in ("mIoU", "bIoU@0.02")}
    return ComparedRow(variant, [0], [], scores, cost or {}, [], list(course))


def comparison(rows: list[ComparedRow], pairs: list[ComparedPair]) -> ComparisonResult:
    group = ComparedGroup("streets", "unet", "resnet18", ["road"], 2, None, rows, pairs)
    return ComparisonResult(3, "none", "mIoU", "", 0.95, 0.8, 10, {}, [group])


def compared(result: ComparisonResult, kind: str = "helps") -> list[Compared]:
    (group,) = result.groups
    return [Compared(group, pair, "", "", "", kind) for pair in group.pairs]


def pair(variant: str = "afma", **scores: ScoreDifference) -> ComparedPair:
    return ComparedPair(variant, "none", [0, 1, 2], scores)


def test_a_forest_shows_points_of_a_hundredth_and_the_seeds_that_exist() -> None:
    result = comparison([row("none"), row("afma")], [pair(mIoU=score())])
    drawn = Difference(
        group="unet, resnet18, streets",
        label="afma",
        kind="helps",
        text="+2.0 (-1.0 to +5.0)",
        value=2.0,
        interval=(-1.0, 5.0),
        per_seed=(1.0, 3.0),
        detectable=4.0,
    )
    (found,) = forests(result, compared(result))
    assert found.rows[0].text.replace("\N{MINUS SIGN}", "-") == drawn.text
    expected = forest("mIoU", [drawn])
    assert (found.rows[0].x, found.rows[0].line, found.rows[0].seeds, found.rows[0].band) == (
        expected.rows[0].x,
        expected.rows[0].line,
        expected.rows[0].seeds,
        expected.rows[0].band,
    )


@pytest.mark.parametrize(
    ("kind", "kinds"),
    [("helps", ["helps", "plain"]), ("none", ["none", "plain"]), ("open", ["open", "open"])],
)
def test_only_the_primary_score_has_a_verdict(kind: str, kinds: list[str]) -> None:
    both = {"mIoU": score(), "bIoU@0.02": score()}
    result = comparison([row("none"), row("afma")], [pair(**both)])
    found = forests(result, compared(result, kind))
    assert [chart.rows[0].kind for chart in found] == kinds


def test_with_one_seed_nothing_is_said_about_what_would_be_found() -> None:
    result = comparison([row("none"), row("afma")], [pair(mIoU=score(per_seed=[0.02]))])
    (found,) = forests(result, compared(result))
    assert found.rows[0].band is None


def test_a_score_that_does_not_exist_has_words_and_no_point() -> None:
    missing = score(None, interval=None, per_seed=[], detectable=None)
    pairs = [pair("afma", mIoU=score()), pair("celt", mIoU=missing)]
    result = comparison([row("none"), row("afma"), row("celt")], pairs)
    (chart,) = forests(result, compared(result))
    assert [(found.label, found.x is None) for found in chart.rows] == [
        ("afma", False),
        ("celt", True),
    ]
    assert chart.rows[1].text == "does not exist"


@pytest.mark.parametrize(("others", "curves"), [(0, [1]), (5, [6]), (6, [6, 2]), (11, [6, 6, 2])])
def test_a_chart_of_courses_has_the_baseline_and_five_others(
    others: int, curves: list[int]
) -> None:
    rows = [row("none", course=COURSE), *(row(f"v{k}", course=COURSE) for k in range(others))]
    charts = course_charts(comparison([*rows, row("silent")], []))
    assert [title for title, _ in charts] == ["unet, resnet18, streets"] * len(curves)
    assert [len(chart.lines) for _, chart in charts] == curves
    assert {chart.lines[0].name for _, chart in charts} == {"none"}


def test_costs_are_those_that_any_network_has() -> None:
    rows = [row("none", {"parameters": None, "latency_seconds": 0.0}), row("a", {"odd": 1.0})]
    assert [cost.key for cost in known_costs(comparison(rows, []))] == ["latency_seconds"]


def test_costs_are_in_their_units_and_relative_to_the_baseline() -> None:
    costs = {
        "parameters": 10_000_000,
        "multiply_adds": 2_500_000_000,
        "latency_seconds": 0.02,
        "train_seconds": 90.0,
        "train_memory_gib": 1.5,
        "test_seconds": 5.0,
    }
    more = {name: 1.5 * value for name, value in costs.items()}
    result = comparison([row("none", costs), row("afma", more)], [pair(mIoU=score())])
    ((title, (base, own)),) = cost_rows(result, compared(result))
    assert title == "unet, resnet18, streets"
    assert [text for text, _, _ in base.costs] == ["10.00", "2.50", "20.0", "1.5", "1.50", "5.0"]
    assert (base.kind, base.gain, base.strip) == ("", "", None)
    assert {ratio for _, ratio, _ in base.costs} == {None}
    assert [ratio for _, ratio, _ in own.costs] == pytest.approx([1.5] * 6)
    assert own.kind == "helps"
    assert own.gain.startswith("+2.0 (")
    assert own.strip is not None


@pytest.mark.parametrize("base", [None, 0.0])
def test_without_a_cost_of_the_baseline_there_is_no_ratio(base: float | None) -> None:
    rows = [row("none", {"test_seconds": base}), row("afma", {"test_seconds": 5.0})]
    result = comparison(rows, [pair(mIoU=score())])
    ((_, (_, own)),) = cost_rows(result, compared(result))
    assert own.costs == (("5.0", None, None),)
