"""Measures whose options are one list of a configuration."""

import pytest

from segloom.config.evaluation import EvalConfig
from segloom.evaluation.measures import configured_measures
from segloom.evaluation.measures.base import SplitCounts
from segloom.evaluation.measures.limits import LimitMeasure
from segloom.types import LabelSet


def limit_measures(**options):
    found = configured_measures(EvalConfig(**options))
    return {measure.name: measure for measure in found if isinstance(measure, LimitMeasure)}


def test_every_measure_reads_the_list_of_its_own():
    found = limit_measures(
        size_limits=(16, 64), boundary_tolerances=(0.02,), davis_tolerances=(0.01, 3)
    )
    limits = {name: measure.limits for name, measure in found.items()}
    assert limits == {"size": (16, 64), "boundary": (0.02,), "davis_boundary": (0.01, 3)}


@pytest.mark.parametrize("name", ["size", "boundary", "davis_boundary"])
def test_without_limits_nothing_is_measured(name):
    measure = limit_measures(size_limits=(), boundary_tolerances=(), davis_tolerances=())[name]
    counted = SplitCounts(
        images=(), labels=LabelSet(classes=("a", "b"), palette=((0, 0, 0), (9, 9, 9)))
    )
    assert measure.summarize(counted) == {name: None}
    assert measure.scores(counted) == ()
