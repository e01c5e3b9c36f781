"""How scores, gains and verdicts are worded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.comparisons import measured

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.analysis import analyse
from segloom.report.comparison_result import ScoreDifference
from segloom.report.comparison_words import (
    gain,
    lead,
    network,
    score_words,
    shown_scores,
    signed,
    title,
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


@pytest.mark.parametrize(
    ("verdicts", "late", "words"),
    [
        (["helps"], False, "The one comparison helps."),
        (["undecided"], True, "The one comparison is undecided; the baseline has not converged."),
        (
            ["helps", "helps", "practically equal", "no difference detected"],
            False,
            "Of 4 comparisons, 2 help, 1 is practically equal and 1 is undecided.",
        ),
        (["one seed", "one seed"], False, "Of 2 comparisons, 2 have one seed and no verdict."),
    ],
)
def test_lead_counts_the_verdicts(verdicts: list[str], late: bool, words: str) -> None:
    runs = [measured("none", 0, 0.5), measured("afma", 0, 0.6)]
    result = analyse(runs, baseline="none")
    (pair,) = result.groups[0].pairs
    result.groups[0].pairs = [
        replace(pair, verdict=verdict, has_converged=not late) for verdict in verdicts
    ]
    assert lead(result) == words


def test_lead_says_how_many_baselines_have_not_converged_and_nothing_without_pairs() -> None:
    groups = [Group("streets", name, "resnet18") for name in ("unet", "fpn")]
    runs = [measured(name, 0, 0.5, group=g) for g in groups for name in ("none", "afma")]
    result = analyse(runs, baseline="none")
    result.groups[1].pairs[0].has_converged = False
    assert lead(result).endswith("; 1 of 2 baselines have not converged.")
    assert lead(analyse(runs[:1], baseline="none")) == ""
