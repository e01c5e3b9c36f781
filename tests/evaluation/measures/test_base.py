"""What measures share: sums over images, intervals, options, and numbers that JSON can hold."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from segloom.config.evaluation import EvalConfig
from segloom.errors import ConfigError
from segloom.evaluation.measures.base import (
    ImageCounts,
    Measure,
    Options,
    Pair,
    ScoreGroup,
    Shown,
    SplitCounts,
    intervals_of,
    number_or_none,
)
from segloom.metrics.resampling import plan_resampling
from segloom.types import LabelSet, Place

LABELS = LabelSet(("a", "b"), ((0, 0, 0), (255, 255, 255)))


def image(number, **counts):
    return ImageCounts(f"image {number}", {key: np.array(value) for key, value in counts.items()})


def test_counts_of_images_are_stacked_and_added():
    counted = SplitCounts([image(0, hits=[1, 2]), image(1, hits=[10, 20])], LABELS)
    assert counted.classes == ("a", "b")
    assert counted.stack("hits").tolist() == [[1, 2], [10, 20]]
    assert counted.sum("hits").tolist() == [11, 22]


def test_an_image_knows_from_its_counts_whether_classes_overlap():
    assert not image(0, confusion=[[1, 0], [0, 2]]).is_multilabel
    overlapping = image(0, tables=[[[1, 0], [0, 2]]])
    assert overlapping.is_multilabel
    assert overlapping.confusion.shape == (1, 2, 2)


def test_a_pair_has_the_size_of_its_truth():
    pair = Pair(np.zeros((2, 5), np.uint8), np.zeros((2, 5), np.uint8), 2)
    assert pair.size == (2, 5)
    assert pair.measures.mode == "multiclass"
    assert Pair(pair.prediction, pair.truth, 2, overlaps=True).measures.mode == "multilabel"


def share(sums):
    """Give hits over pixels, and a score that never exists."""
    with np.errstate(invalid="ignore"):
        return np.stack([sums[:, 0] / sums[:, 1], np.full(len(sums), np.nan)], axis=1)


def test_intervals_hold_the_score_and_leave_out_what_is_never_defined():
    counts = np.array([[hits, 10] for hits in (2, 4, 5, 6, 8, 9)])
    places = plan_resampling([Place()] * len(counts), counts[:, 0] / 10)
    found = intervals_of([ScoreGroup(["share", "none"], counts, share)], 500, places)
    assert list(found) == ["share"]
    low, high = found["share"]
    assert 0.2 < low < counts[:, 0].sum() / 60 < high < 0.9
    equal = np.array([[5, 10]] * 6)
    assert intervals_of([ScoreGroup(["share", "none"], equal, share)], 500, places) == {
        "share": [0.5, 0.5]
    }


@pytest.mark.parametrize(("value", "expected"), [(np.float32(0.5), 0.5), (np.nan, None), (1, 1.0)])
def test_numbers_that_do_not_exist_are_none(value, expected):
    assert number_or_none(value) == expected


class Counted(Measure):
    class Options(Options):
        radius: int = 3

    name = "counted"
    files: ClassVar[tuple[str, ...]] = ("counted.csv",)

    def summarize(self, counted):
        return {"radius": self.options.radius}


def test_a_measure_is_made_where_it_is_asked_for_with_its_options():
    assert Counted.configured(EvalConfig()) is None
    made = Counted.configured(EvalConfig(measures={"counted": {"radius": 9}}))
    assert made.summarize(None) == {"radius": 9}
    assert Counted.configured(EvalConfig(measures={"counted": {}})).options.radius == 3
    assert Counted().options.radius == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": "wide"}, r"eval\.measures\.counted\.radius"),
        ({"radios": 3}, r"eval\.measures\.counted\.radios"),
    ],
)
def test_its_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Counted.configured(EvalConfig(measures={"counted": options}))


def test_what_a_measure_does_not_do_is_nothing():
    measure = Counted()
    assert measure.shapes(3, False) == measure.count(None) == measure.tables({}) == {}
    assert measure.scores(None) == ()
    assert measure.section({}) is None


def test_a_shown_table_comes_back_from_json():
    shown = Shown("class", ["IoU"], [["road", 0.5]], "share", 1)
    assert Shown(**shown.to_json()) == shown
