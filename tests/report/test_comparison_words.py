"""How scores, gains and verdicts are worded."""

from __future__ import annotations

import pytest

from segloom.report.comparison_words import (
    gain,
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
    group = {"rows": [{"scores": {}}, {"scores": dict.fromkeys(names)}]}
    assert shown_scores({"groups": [group]}) == ["mIoU", "IoU.size < 9 px", "bIoU@0.01"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "+1.23"), (-0.0123, "-1.23"), (0.0, "0.00"), (-0.00001, "0.00")],
)
def test_what_rounds_to_nothing_has_no_sign(value: float, text: str) -> None:
    assert signed(value) == text


def test_gain_has_its_interval() -> None:
    assert gain({"difference": 0.012, "interval": [-0.0001, 0.03]}) == "+1.2 (0.0 to +3.0)"
    assert gain({"difference": 0.012, "interval": None}) == "+1.2"
    assert gain({"difference": None, "interval": None}) == ""


def test_networks_are_named_by_what_they_are_or_by_the_user() -> None:
    ours = {"recipe": "camvid", "architecture": "unet", "encoder": "resnet18"}
    assert network(ours, "none") == "unet"
    assert network(ours, "afma") == "unet + afma"
    assert title(ours) == "unet, resnet18, camvid"
    theirs = {"recipe": "camvid", "architecture": "networks", "encoder": "as named"}
    assert network(theirs, "none") == "none"
    assert title(theirs) == "camvid"
