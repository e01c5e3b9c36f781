"""The general gain, against statsmodels' values and simulations with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.comparison.statistics.general import NetworkGain, combine_gains, general_effect

# Trials of the BCG vaccine (Colditz et al., JAMA 271, 1994): ill and healthy, with and without.
BCG = np.array(
    [
        (4, 119, 11, 128),
        (6, 300, 29, 274),
        (3, 228, 11, 209),
        (62, 13536, 248, 12619),
        (33, 5036, 47, 5761),
        (180, 1361, 372, 1079),
        (8, 2537, 10, 619),
        (505, 87886, 499, 87892),
        (29, 7470, 45, 7232),
        (17, 1699, 65, 1600),
        (186, 50448, 141, 27197),
        (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    np.float64,
)


def test_bcg_trials_give_the_values_of_statsmodels_and_metafor():
    with_ill, with_well, without_ill, without_well = BCG.T
    with_all, without_all = with_ill + with_well, without_ill + without_well
    gains = np.log(with_ill / with_all) - np.log(without_ill / without_all)
    variances = 1 / with_ill - 1 / with_all + 1 / without_ill - 1 / without_all
    found = combine_gains(gains, variances)
    # statsmodels 0.15: found = combine_effects(gains, variances, method_re="iterated", use_t=True)
    # from statsmodels.stats.meta_analysis; found.tau2, mean_effect_re, sd_eff_w_re_hksj.
    assert found.tau_squared == pytest.approx(0.31806845, rel=1e-6)
    assert found.mean == pytest.approx(-0.71496815, rel=1e-6)
    assert found.variance**0.5 == pytest.approx(0.18089219, rel=1e-6)
    # metafor's Q-profile interval for these trials.
    assert found.tau_squared_interval == pytest.approx((0.1197, 1.1115), abs=1e-4)


def test_gains_that_agree_have_no_spread_between_networks():
    found = combine_gains(np.array([0.01, 0.011, 0.009]), np.full(3, 1e-4))
    assert found.tau_squared == found.tau_squared_interval[0] == 0
    assert found.mean == pytest.approx(0.01)
    assert found.variance == pytest.approx(1e-4 / 3)  # never below that of a fixed effect


def network(gain, variance, resampled, data="streets", degrees=232.0):
    return NetworkGain(data, gain, variance, resampled, image_degrees=degrees)


def test_images_that_all_networks_share_count_once_and_do_not_average_out():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.01, 1000)
    networks = [network(0.02, 1e-8, 0.02 + shared) for _ in range(6)]
    assert general_effect(networks).standard_error == pytest.approx(shared.std(ddof=1), rel=0.01)


def test_one_network_says_nothing_in_general_and_two_nothing_about_a_third():
    still = np.zeros(10)
    one = network(0.02, 1e-4, still)
    assert general_effect([one]) is None
    assert general_effect([one, network(0.02, 0.0, still)]) is None  # equal runs
    assert general_effect([one, one]).prediction is None


@pytest.mark.parametrize("tau", [0.0, 0.01])
@pytest.mark.parametrize("count", [3, 6])
def test_interval_and_prediction_cover(count, tau):
    """Images vary by 0.005 for all networks together, seeds by 0.005 for each."""
    rng = np.random.default_rng(2)
    inside, predicted, draws = 0, 0, 500
    for _ in range(draws):
        resampled = rng.normal(0, 0.005, 200)
        gains = 0.02 + rng.normal(0, tau, count) + rng.normal(0, 0.005, count)
        gains += rng.normal(0, 0.005)
        effect = general_effect([network(gain, 0.005**2, resampled) for gain in gains])
        inside += effect.interval[0] <= 0.02 <= effect.interval[1]
        another = 0.02 + rng.normal(0, tau)
        predicted += effect.prediction[0] <= another <= effect.prediction[1]
    assert inside / draws >= 0.93
    assert predicted / draws >= 0.93


def mixed_networks():
    """Three networks on one data set, whose images they share in part, and one on another."""
    rng = np.random.default_rng(4)
    shared = rng.normal(0, 0.01, 400)
    gains, variances = (0.01, 0.03, 0.02, 0.05), (2e-4, 1e-4, 3e-4, 2e-4)
    networks = [
        network(gain, variance, gain + shared + rng.normal(0, 0.008 * n, 400), degrees=100.0 + n)
        for n, (gain, variance) in enumerate(zip(gains[:3], variances, strict=False), start=1)
    ]
    other = network(gains[3], variances[3], rng.normal(0.05, 0.006, 400), "cells", degrees=40.0)
    return [*networks, other]


def variance_of(values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def test_the_interval_is_its_formula_with_what_the_scatter_holds_of_the_images_taken_off():
    """``V = V_mu + V_images - V_both``, summed over data sets, each written out."""
    from scipy import stats

    networks = mixed_networks()
    found = combine_gains(
        np.array([item.gain for item in networks]), np.array([item.variance for item in networks])
    )
    w = found.weights.tolist()
    streets = [item.resampled.tolist() for item in networks[:3]]
    together = variance_of(
        [sum(w[i] * x for i, x in enumerate(row)) for row in zip(*streets, strict=True)]
    )
    each = sum(w[i] * variance_of(values) for i, values in enumerate(streets)) * sum(w[:3])
    alone = variance_of([w[3] * x for x in networks[3].resampled.tolist()])
    images, both = together + alone, (each - together) / 2 + alone
    assert 0.1 * images < both < min(images, found.variance)
    variance = found.variance + images - both
    effect = general_effect(networks)
    assert effect.num_networks == 4
    assert effect.gain == pytest.approx(found.mean)
    assert effect.standard_error == pytest.approx(variance**0.5, rel=1e-9)
    degrees = variance**2 / (found.variance**2 / 3 + images**2 / 40)
    assert effect.degrees == pytest.approx(degrees, rel=1e-9)
    reach = stats.t.ppf(0.975, degrees) * variance**0.5
    assert effect.interval == pytest.approx((found.mean - reach, found.mean + reach), rel=1e-9)
    tail = stats.t.sf(found.mean / variance**0.5, degrees)
    assert effect.p_value == pytest.approx(2 * tail, rel=1e-9)
    reach = stats.t.ppf(0.975, 2) * (found.tau_squared + variance) ** 0.5
    assert effect.prediction == pytest.approx((found.mean - reach, found.mean + reach), rel=1e-9)
    assert effect.tau == pytest.approx(found.tau_squared**0.5)
    assert effect.tau_interval == pytest.approx([t**0.5 for t in found.tau_squared_interval])


@pytest.mark.parametrize("spread", [0.0001, 0.02])
def test_what_is_counted_twice_is_no_more_than_either_part(spread):
    """Two networks whose images move them apart: their scatter holds far more than V_images."""
    apart = np.random.default_rng(5).normal(0, spread, 400)
    networks = [network(0.02, 1e-4, apart), network(0.02, 1e-4, -apart)]
    found = combine_gains(np.full(2, 0.02), np.full(2, 1e-4))
    effect = general_effect(networks)
    assert effect.standard_error == pytest.approx(found.variance**0.5, rel=1e-6)


def test_a_network_without_a_gain_or_without_spread_is_left_out():
    networks = mixed_networks()
    expected = general_effect(networks)
    others = [network(np.nan, 1e-4, np.zeros(400)), network(0.9, 0.0, np.zeros(400))]
    assert general_effect([*others, *networks]) == expected
