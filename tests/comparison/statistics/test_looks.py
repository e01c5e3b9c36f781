"""Verdicts over looks: each comparison is decided once, and that is not taken back."""

from __future__ import annotations

import pytest

from segloom.comparison.cells.rounds import Decided, Look
from segloom.comparison.statistics.looks import keep_verdicts, newly_decided
from segloom.report.comparison_result import ComparedGroup, ComparedPair, ComparisonResult

LOOK = Look(2, (0, 1, 2), 0.02)


def group(architecture, **verdicts):
    pairs = [ComparedPair(name, "plain", [0, 1], {}, verdict) for name, verdict in verdicts.items()]
    return ComparedGroup("demo", architecture, "resnet18", ["a", "b"], 9, None, [], pairs)


def result(*groups):
    return ComparisonResult(2, "plain", "mIoU", "rule", 0.05, 0.8, 100, {}, list(groups))


def decided(architecture, variant, verdict, look=1):
    return Decided(("demo", architecture, "resnet18"), variant, verdict, (0, 1), look)


@pytest.mark.parametrize("verdict", ["helps", "hurts", "practically equal"])
def test_final_verdicts_decide(verdict):
    found = newly_decided(result(group("unet", afma=verdict)), LOOK, [])
    assert found == [decided("unet", "afma", verdict, look=2)]


@pytest.mark.parametrize("verdict", ["undecided", "one seed", "not compared"])
def test_others_do_not(verdict):
    assert newly_decided(result(group("unet", afma=verdict)), LOOK, []) == []


def test_what_an_earlier_look_decided_is_not_new_but_the_same_variant_elsewhere_is():
    seen = result(group("unet", afma="helps", celt="hurts"), group("fpn", afma="helps"))
    found = newly_decided(seen, LOOK, [decided("unet", "afma", "helps")])
    assert [(item.group[1], item.variant) for item in found] == [("unet", "celt"), ("fpn", "afma")]
    assert all(item.look == 2 and item.seeds == (0, 1) for item in found)


def test_a_verdict_stands_and_asks_for_no_more_seeds():
    later = result(group("unet", afma="undecided", celt="undecided"), group("fpn", afma="hurts"))
    for one in later.groups:
        for pair in one.pairs:
            pair.further_seeds, pair.is_less_than_asked = 4, True
    keep_verdicts(
        later, [decided("unet", "afma", "helps"), decided("fpn", "afma", "practically equal")]
    )
    (afma, celt), (other,) = (one.pairs for one in later.groups)
    assert (afma.verdict, afma.further_seeds, afma.is_less_than_asked) == ("helps", None, True)
    assert (celt.verdict, celt.further_seeds, celt.is_less_than_asked) == ("undecided", 4, True)
    assert (other.verdict, other.is_less_than_asked) == ("practically equal", False)


def test_a_gain_that_was_as_large_as_asked_stays_so():
    later = result(group("unet", afma="undecided"))
    keep_verdicts(later, [decided("unet", "afma", "helps")])
    assert not later.groups[0].pairs[0].is_less_than_asked
