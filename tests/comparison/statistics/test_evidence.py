"""What qualifies a verdict: convergence of the baseline, courses, correlation of paired seeds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.comparisons import measured, study

from segloom.comparison.statistics.analysis import analyse
from segloom.comparison.statistics.evidence import late_gain, seed_correlation, training_course
from segloom.report.comparison_words import convergence, sentence, verdict


def write_course(folder, values):
    """Write the validation scores of a training, epoch by epoch; None where there is none."""
    folder.mkdir(parents=True)
    rows = [{"epoch": n, "val/mIoU": value} for n, value in enumerate(values, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_late_gain_is_the_rise_of_the_best_score_in_the_last_quarter(tmp_path):
    course = [0.1, 0.4, None, 0.5, 0.45, 0.48, 0.52, 0.51]  # 0.5 by epoch 6 of 8
    runs = [
        measured("none", 0, 0.6, path=write_course(tmp_path / "a", course)),
        measured("none", 1, 0.6, path=write_course(tmp_path / "b", [0.5] * 8)),
        measured("none", 2, 0.6, path=tmp_path / "label_pngs"),
    ]
    assert late_gain(runs[:1]) == pytest.approx(0.02)
    assert late_gain(runs) == pytest.approx(0.01)
    assert late_gain(runs[2:]) is None


def test_course_is_the_mean_and_the_ends_over_the_seeds_where_all_were_validated(tmp_path):
    runs = [
        measured("none", 0, 0.6, path=write_course(tmp_path / "a", [0.1, 0.2, None, 0.4])),
        measured("none", 1, 0.6, path=write_course(tmp_path / "b", [0.3, 0.2, 0.5, 0.6, 0.9])),
    ]
    course = training_course(runs)
    assert [point.epoch for point in course] == [1, 2, 4]
    assert [(point.low, point.high) for point in course] == [(0.1, 0.3), (0.2, 0.2), (0.4, 0.6)]
    assert course[2].mean == pytest.approx(0.5)
    lost = measured("none", 2, 0.6, path=tmp_path / "label_pngs")
    assert training_course([*runs, lost]) == training_course([]) == []
    (group,) = analyse(runs, baseline="none").groups
    assert group.rows[0].course == course


@pytest.mark.parametrize("course", [[], [None, None], [None, None, None, 0.5], [0.5, None, None]])
def test_a_course_without_both_parts_says_nothing(tmp_path, course):
    run = measured("none", 0, 0.6, path=write_course(tmp_path / "a", course))
    assert late_gain([run]) is None


@pytest.mark.parametrize(
    ("last", "has_converged", "words"),
    [
        (0.504, True, "has converged: its best validation mIoU rose by +0.4 points"),
        (0.53, False, "has not converged: its best validation mIoU rose by +3.0 points"),
    ],
)
def test_a_baseline_that_still_rises_is_said_beside_every_verdict(
    tmp_path, last, has_converged, words
):
    runs = study(seeds=3)
    for run in runs:
        if run.variant == "none":
            write_course(tmp_path / str(run.seed), [0.3, 0.4, 0.5, last])
    moved = [
        run
        if run.variant != "none"
        else measured("none", run.seed, 0.6 + 0.01 * run.seed, path=tmp_path / str(run.seed))
        for run in runs
    ]
    found = analyse(moved, baseline="none")
    (group,) = found.groups
    (pair,) = group.pairs
    assert pair.has_converged is has_converged
    assert words in convergence(group)
    assert ("(baseline not converged)" in verdict(pair)) is not has_converged
    assert sentence(found, group, pair).endswith("has not converged") is not has_converged


def test_label_pngs_have_no_course_and_nothing_is_said():
    (group,) = analyse(study(), baseline="none").groups
    assert group.pairs[0].has_converged is None
    assert convergence(group) == ""
    assert "converged" not in verdict(group.pairs[0])


def test_seeds_that_move_both_networks_alike_are_correlated():
    (group,) = analyse(study(seeds=4), baseline="none").groups
    assert group.pairs[0].seed_correlation == pytest.approx(1.0)
    values = np.random.default_rng(0).normal(size=(2, 6))
    expected = np.corrcoef(values)[0, 1]
    assert seed_correlation(*values.tolist()) == pytest.approx(expected)
    assert seed_correlation([0.1, 0.2], [0.1, 0.3]) is None
    assert seed_correlation([0.1, 0.2, None], [0.1, 0.3, 0.2]) is None
    assert seed_correlation([0.1, 0.1, 0.1], [0.1, 0.3, 0.2]) is None
