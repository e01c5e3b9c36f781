"""What an analysis makes of runs: shared spread, rows in order, groups of images, and refusals."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.comparisons import measured

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.analysis import FailedCell, _by_group, _shared, analyse
from segloom.comparison.statistics.verdicts import PRIMARY
from segloom.errors import DataError

UNET = Group("streets", "unet", "resnet18")
FPN = Group("streets", "fpn", "resnet18")
GAINS = {"afma": (0.02, 0.03, 0.05), "celt": (0.01, 0.011, 0.012)}


def runs(*variants, group=UNET):
    found = [measured("none", seed, 0.6, group=group, spread=0.001) for seed in range(3)]
    for name in variants:
        found += [
            measured(name, seed, 0.6 + gain, group=group, spread=0.001)
            for seed, gain in enumerate(GAINS[name])
        ]
    return found


def test_the_spread_of_two_comparisons_is_estimated_together():
    """The wide one is taken for narrower, and the narrow one for wider."""
    pairs = analyse(runs("afma", "celt"), baseline="none").groups[0].pairs
    wide, narrow = (pair.scores[PRIMARY] for pair in pairs)
    assert wide.standard_error < wide.plain.standard_error
    assert narrow.standard_error > narrow.plain.standard_error
    assert wide.degrees > wide.plain.degrees
    assert wide.difference == pytest.approx(np.mean(GAINS["afma"]))
    assert wide.per_seed == pytest.approx(GAINS["afma"])


def test_one_comparison_or_plain_spread_has_its_own_seeds_alone():
    alone = analyse(runs("afma"), baseline="none").groups[0].pairs[0].scores[PRIMARY]
    assert alone.plain is None
    result = analyse(runs("afma", "celt"), baseline="none", spread="plain")
    assert [pair.scores[PRIMARY].plain for pair in result.groups[0].pairs] == [None, None]
    assert result.groups[0].pairs[0].scores[PRIMARY].standard_error == alone.standard_error


def measurements(*are_found):
    return [SimpleNamespace(found=object() if is_found else None) for is_found in are_found]


@pytest.mark.parametrize(
    ("by_group", "expected"),
    [
        ([], 1.0),
        ([measurements(False)], 1.0),
        ([measurements(True)], 1.0),
        ([measurements(True, True, False), measurements(True)], 1.5),
        ([measurements(True, True, True), measurements(False)], 3.0),
    ],
)
def test_a_baseline_is_shared_by_the_pairs_that_were_measured(by_group, expected):
    assert _shared(by_group) == expected


def test_the_baseline_comes_first_and_missing_runs_have_their_place():
    lost = [
        FailedCell("x", UNET, "celt", 1, "failed", "no memory"),
        FailedCell("y", FPN, "none", 0, "waiting", ""),
    ]
    found = analyse(runs("afma")[3:] + runs()[:3], baseline="none", missing=lost)
    unet, fpn = found.groups
    assert [row.variant for row in unet.rows] == ["none", "afma", "celt"]
    assert [row.seeds for row in unet.rows] == [[0, 1, 2], [0, 1, 2], []]
    assert unet.rows[2].missing[0].cause == "no memory"
    assert [(pair.variant, pair.baseline) for pair in unet.pairs] == [
        ("afma", "none"),
        ("celt", "none"),
    ]
    assert unet.pairs[1].verdict == "not compared"
    assert (fpn.architecture, fpn.num_images, fpn.classes, fpn.resampling) == ("fpn", 0, [], None)


def test_scores_of_a_row_are_of_its_seeds_in_order():
    row = analyse(runs("afma")[::-1], baseline="none").groups[0].rows[1]
    score = row.scores[PRIMARY]
    assert score.values == pytest.approx([0.62, 0.63, 0.65])
    assert score.mean == pytest.approx(np.mean(score.values))
    assert score.spread == pytest.approx(np.std(score.values, ddof=1))
    single = analyse([runs("afma")[0]], baseline="none").groups[0].rows[0].scores[PRIMARY]
    assert single.spread is None


def sides(one, other):
    return [SimpleNamespace(group_miou=values) for values in one], [
        SimpleNamespace(group_miou=values) for values in other
    ]


def test_differences_inside_groups_need_a_score_of_every_seed():
    found = _by_group(
        *sides(
            [{"a": 0.5, "b": 0.5}, {"a": 0.7, "b": None}],
            [{"a": 0.4, "b": 0.5}, {"a": 0.5, "b": 0.1}],
        )
    )
    assert found == {"a": pytest.approx(0.15), "b": None}


@pytest.mark.parametrize("what", ["classes", "images"])
def test_runs_of_other_images_or_classes_are_refused(what):
    own = runs("afma")
    change = {"classes": ("a", "x")} if what == "classes" else {"ids": ("another",)}
    own[4] = replace(own[4], **change)
    with pytest.raises(DataError, match=f"were tested on other {what}; measure both with the same"):
        analyse(own, baseline="none")
