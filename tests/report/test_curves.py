"""Which columns of a training become curves, in which order, and what is pointed out."""

from __future__ import annotations

from typing import Any

import pytest

from segloom.report.curves import training_curves

BASE = {"epoch": 1.0, "train/total": 2.0}


def by_title(*rows: dict[str, Any]) -> dict[str, Any]:
    return {curves.title: curves for curves in training_curves(rows)}


def test_the_total_comes_first_then_the_validation_then_the_terms_in_their_order() -> None:
    row = {"epoch": 1.0, "train/dice": 0.5, "val/loss": 3.0, "train/ce": 1.5, "train/total": 2.0}
    assert list(by_title(row)["Loss"].points) == [
        "train/total",
        "val/loss",
        "train/dice",
        "train/ce",
    ]


def test_a_seventh_loss_has_no_colour_and_is_left_out() -> None:
    terms = {f"train/term{number}": float(number) for number in range(5, 12)}
    assert list(by_title({**BASE, **terms})["Loss"].points) == [
        "train/total",
        *list(terms)[:5],
    ]


def test_scores_are_those_of_the_head_and_no_other() -> None:
    row = {**BASE, "val/aAcc": 0.9, "val/mIoU": 0.5, "val/IoU.road": 0.7, "val/mAcc": 0.6}
    curves = by_title(row)["Validation"]
    assert list(curves.points) == ["val/mIoU", "val/mAcc", "val/aAcc"]
    assert curves.are_shares
    assert not by_title(row)["Loss"].are_shares


def test_rates_of_several_groups_are_all_shown_but_no_other_column_that_begins_so() -> None:
    row = {**BASE, "lr/encoder": 0.1, "lr": 0.2, "lr_scale": 3.0, "seconds": 4.0}
    assert by_title(row)["Learning rate"].points == {"lr/encoder": [(1.0, 0.1)], "lr": [(1.0, 0.2)]}


def test_the_first_of_equally_good_epochs_is_pointed_out() -> None:
    rows = [{"epoch": x, "val/mIoU": y} for x, y in ((1.0, 0.2), (2.0, 0.456), (3.0, 0.456))]
    assert by_title(*rows)["Validation"].mark == (2.0, 0.456, "best 45.6 %, epoch 2")


def test_without_mean_iou_nothing_is_pointed_out() -> None:
    assert by_title({**BASE, "val/aAcc": 0.9})["Validation"].mark is None


def test_points_are_in_the_order_of_the_epochs_and_gaps_are_passed_over() -> None:
    rows = [{"epoch": x, "train/total": y} for x, y in ((3.0, 1.0), (1.0, 9.0), (2.0, None))]
    assert by_title(*rows)["Loss"].points == {"train/total": [(1.0, 9.0), (3.0, 1.0)]}


@pytest.mark.parametrize(
    ("terms", "is_shown"),
    [
        ((2.0, 1.0), False),
        ((2.0001, 1.0), False),  # 1 in 20,000: the rounding of a log
        ((2.001, 1.0), True),
        ((2.0, 1.1), True),
        ((2.0, None), True),
    ],
)
def test_a_term_is_hidden_only_if_it_is_the_total_in_every_epoch(
    terms: tuple[float, float | None], is_shown: bool
) -> None:
    pairs = zip((1.0, 2.0), (2.0, 1.0), terms, strict=True)
    rows = [{"epoch": x, "train/total": total, "train/ce": term} for x, total, term in pairs]
    assert ("train/ce" in by_title(*rows)["Loss"].points) == is_shown


def test_a_validation_loss_that_equals_the_total_stays() -> None:
    assert list(by_title({**BASE, "val/loss": 2.0})["Loss"].points) == ["train/total", "val/loss"]
