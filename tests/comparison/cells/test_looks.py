"""How often the test scores of a plan were looked at, and what a plan fixes."""

from __future__ import annotations

from segloom.comparison.cells.looks import count_looks, plan_hash
from segloom.config.comparison import ComparisonPlan
from segloom.config.data import DataConfig
from segloom.config.run import RunConfig


def plan(**options):
    recipe = RunConfig(data=DataConfig(root=options.pop("root", "/here")))
    return ComparisonPlan(enhancements=("none", "se"), recipes={"mine": recipe}, **options)


def test_more_seeds_and_another_place_are_the_same_plan():
    assert plan_hash(plan()) == plan_hash(plan(seeds=(0, 1, 2), root="/there"))
    assert len(plan_hash(plan())) == 16


OTHERS = (plan(), plan(smallest_gain=2.0), plan(epochs=3), plan(tuning={"none": 4}))


def test_another_smallest_gain_length_or_search_is_another_plan():
    known = {plan_hash(p) for p in OTHERS}
    assert len(known) == 4


def test_looks_are_counted_and_the_same_cells_are_one_look(tmp_path):
    assert count_looks(tmp_path, plan(), 4) == 1
    assert count_looks(tmp_path, plan(), 4) == 1
    assert count_looks(tmp_path, plan(), 6) == 2
    assert count_looks(tmp_path, plan(smallest_gain=3.0), 6) == 3
