"""The statistics of pairs, against known answers: simulation, scipy, and sums by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from segloom.comparison.statistics.paired import (
    LEVEL,
    POWER,
    holm,
    paired_differences,
    sign_flip_p_values,
)

RESAMPLES = 300
NUM_IMAGES = 60
SPREADS = {
    "seeds": (0.01, 0.0, 0.02),
    "seeds and images": (0.01, 0.1, 0.05),
    "images": (0.002, 0.2, 0.02),
}
"""Standard deviations of the effects of a seed, of an image, and of both together."""


def simulate(num_seeds, spreads, gain=0.0, draws=1000):
    """Draw many studies at once: every one is a column of the scores."""
    rng = np.random.default_rng(7)
    of_seeds, of_images, of_both = spreads
    shape = (num_seeds, NUM_IMAGES, draws)
    difference = (
        gain
        + rng.normal(0, of_seeds, (num_seeds, 1, draws))
        + rng.normal(0, of_images, (1, NUM_IMAGES, draws))
        + rng.normal(0, of_both, shape)
    )
    without = 0.5 + rng.normal(0, 0.1, shape)
    drawn = rng.multinomial(NUM_IMAGES, np.full(NUM_IMAGES, 1 / NUM_IMAGES), RESAMPLES) / NUM_IMAGES
    sides = (without + difference, without)
    scores = [side.mean(1) for side in sides]
    resampled = [np.stack([drawn @ run for run in side]) for side in sides]
    return paired_differences(*scores, *resampled, num_images=NUM_IMAGES)


@pytest.mark.parametrize("spreads", SPREADS.values(), ids=SPREADS)
@pytest.mark.parametrize("num_seeds", [3, 5, 10])
def test_intervals_cover_and_false_alarms_keep_their_level(num_seeds, spreads):
    found = simulate(num_seeds, spreads, gain=0.03)
    low, high = found.interval.T
    assert 0.93 <= ((low <= 0.03) & (high >= 0.03)).mean() <= 0.97
    # 1,000 draws of a level of 5 % go up to 6.1 % by chance (3 in 100 tests of exactly that level).
    null = simulate(num_seeds, spreads)
    assert (null.p_value < LEVEL).mean() <= 0.061
    assert (null.p_value < 0.01).mean() <= 0.02


def test_percentiles_of_a_two_way_bootstrap_would_not_cover():
    """Why the interval is not simply that: three seeds drawn again show too little spread."""
    rng = np.random.default_rng(0)
    seeds = rng.normal(0, 0.01, (2000, 3))
    drawn = seeds[:, rng.integers(0, 3, (500, 3))].mean(-1)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
    assert ((low <= 0) & (high >= 0)).mean() < 0.85


def test_gain_that_is_called_detectable_is_detected():
    spreads = SPREADS["seeds and images"]
    smallest = np.median(simulate(5, spreads).detectable(1))
    found = simulate(5, spreads, gain=smallest)
    assert (found.p_value < LEVEL).mean() == pytest.approx(POWER, abs=0.08)


def test_detectable_gain_grows_with_the_family():
    found = simulate(5, SPREADS["seeds"], draws=4)
    assert (found.detectable(6) > found.detectable(1)).all()


def test_without_spread_between_images_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    with_it, without = rng.normal(0.6, 0.01, (4, 3)), rng.normal(0.59, 0.01, (4, 3))
    resampled = [np.repeat(side[:, None], 50, axis=1) for side in (with_it, without)]
    found = paired_differences(with_it, without, *resampled, num_images=40)
    expected = stats.ttest_rel(with_it, without)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert found.interval == pytest.approx(np.stack([interval.low, interval.high], axis=-1))
    assert found.seed_share == pytest.approx(1)


def test_variance_is_its_formula_without_what_is_counted_twice():
    """``s^2 / S + V_images - V_both`` with every sum written out; the last part is not small."""
    rng = np.random.default_rng(3)
    num_seeds, num_resamples, num_images = 4, 50, 30
    differences = rng.normal(0.02, 0.05, num_seeds)
    resampled = rng.normal(0, 0.05, (num_seeds, num_resamples))  # no part that seeds share
    spread = sum((d - differences.mean()) ** 2 for d in differences) / (num_seeds - 1)
    by_resample = [resampled[:, r].mean() for r in range(num_resamples)]
    from_images = np.var(by_resample, ddof=1)
    each = np.mean([np.var(resampled[s], ddof=1) for s in range(num_seeds)])
    both = (each - from_images) / (num_seeds - 1)
    expected = spread / num_seeds + from_images - both
    assert 0.2 * expected < both < min(from_images, spread / num_seeds)
    zero = np.zeros((num_seeds, num_resamples, 1))
    found = paired_differences(
        differences[:, None],
        np.zeros((num_seeds, 1)),
        resampled[..., None],
        zero,
        num_images=num_images,
    )
    assert found.standard_error == pytest.approx([np.sqrt(expected)])
    assert found.seed_share == pytest.approx([spread / num_seeds / expected])
    degrees = expected**2 / (
        (spread / num_seeds) ** 2 / (num_seeds - 1) + from_images**2 / (num_images - 1)
    )
    assert found.degrees == pytest.approx([degrees])
    margin = stats.t.ppf(0.975, degrees) * np.sqrt(expected)
    middle = differences.mean()
    assert found.interval == pytest.approx(np.array([[middle - margin, middle + margin]]))


def test_effect_size_is_hedges_g():
    with_it, without = np.array([[0.62], [0.60], [0.64]]), np.array([[0.60], [0.59], [0.60]])
    resampled = [np.repeat(side[:, None], 10, axis=1) for side in (with_it, without)]
    found = paired_differences(with_it, without, *resampled, num_images=10)
    differences = np.array([0.02, 0.01, 0.04])
    # The factor for two degrees of freedom is gamma(1) / (sqrt(1) gamma(1/2)).
    expected = differences.mean() / differences.std(ddof=1) / np.sqrt(np.pi)
    assert found.effect_size == pytest.approx([expected])


def test_one_seed_gives_the_interval_of_the_images_and_no_p_value():
    found = simulate(1, SPREADS["images"], draws=400)
    assert np.isnan(found.p_value).all()
    assert np.isnan(found.sign_flip_p_value).all()
    assert np.isnan(found.effect_size).all()
    assert (found.degrees == NUM_IMAGES - 1).all()
    assert found.standard_error.mean() == pytest.approx(0.2 / np.sqrt(NUM_IMAGES), rel=0.1)


def test_equal_runs_do_not_differ():
    scores = np.full((3, 2), 0.5)
    resampled = np.full((3, 20, 2), 0.5)
    found = paired_differences(scores, scores, resampled, resampled, num_images=9)
    assert (found.difference == 0).all()
    assert not (found.p_value < LEVEL).any()


def test_score_that_does_not_exist_stays_so():
    scores = np.array([[0.5, np.nan], [0.6, 0.2], [0.7, 0.3]])
    resampled = np.repeat(scores[:, None], 20, axis=1)
    found = paired_differences(scores, scores / 2, resampled, resampled / 2, num_images=9)
    assert np.isfinite(found.difference[0])
    assert np.isnan([found.difference[1], found.p_value[1], found.sign_flip_p_value[1]]).all()


def test_sign_flips_equal_all_of_them_by_hand():
    differences = np.array([[0.03, -0.01], [0.02, 0.02], [-0.01, 0.04], [0.05, 0.01]])
    means = [
        np.mean(np.array(s)[:, None] * differences, axis=0) for s in product((1, -1), repeat=4)
    ]
    extreme = np.abs(means) >= np.abs(differences.mean(0)) - 1e-12
    assert sign_flip_p_values(differences) == pytest.approx(extreme.mean(0))


def test_holm_adjusts_as_in_the_paper():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested():
    adjusted = holm([float("nan"), 0.02, 0.9])
    assert np.isnan(adjusted[0])
    assert adjusted[1:] == pytest.approx([0.04, 0.9])


def test_adjusted_p_values_are_holms_and_no_more_than_one():
    found = holm([0.9, 0.01, np.nan, 0.03, 0.04])
    assert np.isnan(found[2])
    # 4 x 0.01, 3 x 0.03, no less than that, and 0.9 as it is.
    assert [found[k] for k in (0, 1, 3, 4)] == pytest.approx([0.9, 0.04, 0.09, 0.09])
    assert holm([0.8, 0.9, 0.7]) == [1.0, 1.0, 1.0]
