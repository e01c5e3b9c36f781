"""Verdicts: helps, hurts, practically equal, undecided; per network and in general."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from support.comparisons import measured, study

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.analysis import analyse
from segloom.comparison.statistics.paired import paired_differences
from segloom.comparison.statistics.verdicts import general_verdict

OTHERS = [Group("streets", name, "resnet18") for name in ("unet", "fpn", "pspnet")]


def runs(differences, group=OTHERS[0], variant="afma"):
    """Make runs whose scores differ by these, seed by seed."""
    for seed, difference in enumerate(differences):
        base = 0.6 + 0.01 * seed
        yield measured("none", seed, base, group=group, spread=0.001)
        yield measured(variant, seed, base + difference, group=group, spread=0.001)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((0.05, 0.051, 0.052, 0.049), "helps"),
        ((-0.05, -0.051, -0.052, -0.049), "hurts"),
        ((0.001, -0.001, 0.0, 0.0005), "practically equal"),
        ((0.03, -0.03, 0.02, -0.01), "undecided"),
        ((0.05,), "one seed"),
    ],
)
def test_each_verdict(differences, verdict):
    (pair,) = analyse(list(runs(differences)), baseline="none").groups[0].pairs
    assert pair.verdict == verdict
    assert (pair.further_seeds is None) == (verdict != "undecided")


def test_gain_that_surely_lies_below_what_was_asked_is_said_to():
    differences = (0.005, 0.0051, 0.0049, 0.005)
    (pair,) = analyse(list(runs(differences)), baseline="none").groups[0].pairs
    assert (pair.verdict, pair.is_less_than_asked) == ("helps", True)
    asked = analyse(list(runs(differences)), baseline="none", smallest_gain=0.003)
    assert not asked.groups[0].pairs[0].is_less_than_asked


def test_equality_is_tested_by_two_one_sided_t_tests():
    differences = np.array([0.004, -0.002, 0.001, 0.003])
    sides = np.stack([0.6 + differences, np.full(4, 0.6)])[..., None]
    resampled = [np.repeat(side[:, None], 20, axis=1) for side in sides]
    found = paired_differences(*sides, *resampled, num_images=50)
    expected = max(
        stats.ttest_1samp(differences, -0.01, alternative="greater").pvalue,
        stats.ttest_1samp(differences, 0.01, alternative="less").pvalue,
    )
    assert found.equality_p_values(0.01) == pytest.approx([expected])
    # The 90 % interval lies within exactly where the p-value is 0.05.
    edge = np.abs(found.equal_interval[0]).max()
    assert found.equality_p_values(edge) == pytest.approx([0.05])


def test_further_seeds_make_the_gain_detectable():
    differences = np.array([0.02, -0.01, 0.0])
    sides = np.stack([0.6 + differences, np.full(3, 0.6)])[..., None]
    resampled = [np.repeat(side[:, None], 20, axis=1) for side in sides]
    found = paired_differences(*sides, *resampled, num_images=50)
    more = found.further_seeds(0.01, 1, column=0)
    # Independent: power of a t-test with a standard deviation of differences.std(ddof=1).
    count = 3 + more
    margin = differences.std(ddof=1) / np.sqrt(count)
    needed = [stats.t.ppf(q, count - 1) for q in (0.975, 0.8)]
    assert sum(needed) * margin <= 0.01
    margin = differences.std(ddof=1) / np.sqrt(count - 1)
    assert sum(stats.t.ppf(q, count - 2) for q in (0.975, 0.8)) * margin > 0.01
    assert found.further_seeds(1e-5, 1, column=0) is None
    assert found.further_seeds(1.0, 1, column=0) == 0


def test_plain_form_stands_beside_the_moderated_and_can_be_chosen():
    given = [run for group in OTHERS for run in study(0.01, group=group)]
    moderated = analyse(given, baseline="none")
    plain = analyse(given, baseline="none", spread="plain")
    for one, other in zip(moderated.groups, plain.groups, strict=True):
        borrowed, own = (group.pairs[0].scores["mIoU"] for group in (one, other))
        assert own.plain is None
        for name in ("p_value", "holm_p_value", "interval", "detectable", "degrees"):
            assert getattr(borrowed.plain, name) == getattr(own, name)
        assert borrowed.degrees > own.degrees


def test_one_pair_has_nothing_to_borrow_from():
    (pair,) = analyse(study(), baseline="none").groups[0].pairs
    assert pair.scores["mIoU"].plain is None


def test_general_gain_is_the_mean_over_networks():
    given = [
        run
        for group, gain in zip(OTHERS, (0.03, 0.031, 0.029), strict=True)
        for run in runs((gain, gain + 0.001, gain - 0.001), group)
    ]
    result = analyse(given, baseline="none")
    (found,) = result.general
    assert (found.variant, found.num_networks, found.verdict) == ("afma", 3, "helps")
    assert found.difference == pytest.approx(0.03, abs=1e-3)
    assert found.prediction[0] < found.interval[0] < 0.03 < found.interval[1]
    assert analyse(study(), baseline="none").general == []


@pytest.mark.parametrize(
    ("p_value", "ends", "verdict"),
    [
        (0.01, (0.001, 0.03), "helps"),
        (0.2, (-0.002, 0.009), "practically equal"),
        (0.2, (-0.002, 0.011), "undecided"),
    ],
)
def test_general_verdicts(p_value, ends, verdict):
    assert general_verdict(0.005, p_value, ends, 0.01) == verdict


def test_no_interval_or_gain_is_larger_than_scores_allow():
    """Two seeds, and one pair that happens to be very quiet: hardly a degree of freedom."""
    runs = [measured("none", seed, 0.5, spread=1e-6) for seed in (0, 1)]
    for name, spread in (("quiet", 1e-3), ("loud", 0.08), ("louder", 0.1)):
        runs += [measured(name, seed, 0.5 + spread * seed, spread=1e-6) for seed in (0, 1)]
    for pair in analyse(runs, baseline="none").groups[0].pairs:
        score = pair.scores["mIoU"]
        low, high = score.interval
        assert -1 <= low < high <= 1
        assert score.detectable is None or score.detectable <= 1
    quiet = analyse(runs, baseline="none").groups[0].pairs[0]
    assert quiet.scores["mIoU"].degrees < 1
    assert quiet.scores["mIoU"].detectable is None
