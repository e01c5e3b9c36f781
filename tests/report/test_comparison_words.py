"""How scores, gains and verdicts are worded."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from support.comparisons import measured, study

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.analysis import analyse
from segloom.report.comparison_result import ComparisonResult, ScoreDifference
from segloom.report.comparison_words import (
    correlation,
    further,
    gain,
    lead,
    network,
    score_words,
    shown_scores,
    signed,
    title,
    verdict_counts,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mIoU", "mIoU"),
        ("IoU.road", "IoU of road"),
        ("IoU.size < 256 px", "IoU of objects < 256 px"),
        ("recall.size 256-1023 px", "recall of objects 256-1023 px"),
        ("bIoU@0.0075", "boundary IoU (0.75 %)"),
        ("bF@0.02", "boundary F (2 %)"),
        ("IoU.a@b", "IoU of a@b"),
        ("IoU.st.nick", "IoU of st.nick"),
    ],
)
def test_scores_have_names_for_readers(name: str, words: str) -> None:
    assert score_words(name) == words


def test_smallest_objects_and_first_boundaries_are_shown_and_no_class() -> None:
    names = ("mIoU", "IoU.sizeable", "IoU.size < 9 px", "IoU.size >= 9 px", "bIoU@0.01", "bIoU@0.1")
    result = analyse([measured("none", 0, 0.5, classes=())], baseline="none")
    row = result.groups[0].rows[0]
    row.scores = dict.fromkeys(names, row.scores["mIoU"])
    result.groups[0].rows.insert(0, replace(row, scores={}))
    assert shown_scores(result) == ["mIoU", "IoU.size < 9 px", "bIoU@0.01"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "+1.23"), (-0.0123, "-1.23"), (0.0, "0.00"), (-0.00001, "0.00")],
)
def test_what_rounds_to_nothing_has_no_sign(value: float, text: str) -> None:
    assert signed(value) == text


def test_gain_has_its_interval() -> None:
    score = ScoreDifference(0.012, [], [-0.0001, 0.03], *[None] * 6)
    assert gain(score) == "+1.2 (0.0 to +3.0)"
    assert gain(replace(score, interval=None)) == "+1.2"
    assert gain(replace(score, difference=None, interval=None)) == ""


def test_networks_are_named_by_what_they_are_or_by_the_user() -> None:
    ours = Group("camvid", "unet", "resnet18")
    assert network(ours, "none") == "unet"
    assert network(ours, "afma") == "unet + afma"
    assert title(ours) == "unet, resnet18, camvid"
    theirs = Group("camvid", "networks", "as named")
    assert network(theirs, "none") == "none"
    assert title(theirs) == "camvid"


def with_verdicts(verdicts: list[str]) -> ComparisonResult:
    """One network, and a variant per verdict: +10 points with an interval of images alone."""
    runs = [measured("none", 0, 0.5)]
    runs += [measured(f"method{i}", 0, 0.6) for i in range(len(verdicts))]
    result = analyse(runs, baseline="none")
    for pair, verdict in zip(result.groups[0].pairs, verdicts, strict=True):
        pair.verdict = verdict
        pair.scores["mIoU"].interval = [0.05, 0.15]
    return result


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (
            ["helps"],
            "On unet, resnet18, streets, method0 (+10.0 points of mIoU, 95 % +5.0 to +15.0) helps.",
        ),
        (
            ["undecided", "helps", "practically equal", "no difference detected"],
            "On unet, resnet18, streets, method1 (+10.0 points of mIoU, 95 % +5.0 to +15.0) helps, "
            "method2 (+10.0, +5.0 to +15.0) makes no practical difference, and whether method0 "
            "(+10.0, +5.0 to +15.0) and method3 (+10.0, +5.0 to +15.0) help is undecided.",
        ),
    ],
)
def test_lead_says_what_came_of_each_variant(verdicts: list[str], words: str) -> None:
    assert lead(with_verdicts(verdicts)) == words


def test_lead_names_three_variants_of_a_verdict_and_counts_the_others() -> None:
    text = lead(with_verdicts(["hurts"] * 5))
    assert text.endswith("method2 (+10.0, +5.0 to +15.0) and 2 more hurt.")


def test_lead_is_the_general_gain_over_several_networks() -> None:
    groups = [Group("streets", name, "resnet18") for name in ("unet", "fpn", "pspnet")]
    runs = [run for group in groups for run in study(group=group)]
    result = analyse(runs, baseline="none")
    assert re.fullmatch(
        r"On average over 3 networks, afma \(\+5\.1 points of mIoU, 95 % \+\d\.\d to \+\d\.\d\) "
        r"helps\.",
        lead(result),
    )


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (["helps"], "The one comparison helps."),
        (
            ["helps", "helps", "practically equal", "no difference detected"],
            "Of 4 single comparisons, 2 help, 1 is practically equal and 1 is undecided.",
        ),
        (["one seed"] * 2, "Of 2 single comparisons, 2 have one seed and no verdict."),
    ],
)
def test_verdicts_are_counted(verdicts: list[str], words: str) -> None:
    assert verdict_counts(with_verdicts(verdicts)) == words


def test_lead_says_how_many_baselines_have_not_converged_and_nothing_without_pairs() -> None:
    groups = [Group("streets", name, "resnet18") for name in ("unet", "fpn")]
    runs = [measured(name, 0, 0.5, group=g) for g in groups for name in ("none", "afma")]
    result = analyse(runs, baseline="none")
    result.groups[1].pairs[0].has_converged = False
    assert lead(result).endswith(" no verdict. 1 of 2 baselines has not converged.")
    result.groups[0].pairs[0].has_converged = False
    assert lead(result).endswith(" 2 of 2 baselines have not converged.")
    assert lead(analyse(runs[:1], baseline="none")) == ""
    one = with_verdicts(["helps"])
    one.groups[0].pairs[0].has_converged = False
    assert lead(one).endswith(" helps. The baseline has not converged.")


def test_what_a_verdict_leaves_open_is_said_in_few_words() -> None:
    (pair,) = with_verdicts(["undecided"]).groups[0].pairs
    assert further(pair) == ""
    assert further(replace(pair, further_seeds=1)) == "1 more seed"
    late = replace(pair, further_seeds=6, has_converged=False, is_less_than_asked=True)
    assert further(late) == "6 more seeds; less than asked; baseline not converged"


@pytest.mark.parametrize(("value", "text"), [(0.123, "+0.12"), (-1.0, "-1.00"), (-0.001, "0.00")])
def test_correlations_have_a_sign(value: float, text: str) -> None:
    assert correlation(value) == text
