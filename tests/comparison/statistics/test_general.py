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
    # statsmodels 0.14, combine_effects(method_re="iterated", use_t=True), sd_eff_w_re_hksj.
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
