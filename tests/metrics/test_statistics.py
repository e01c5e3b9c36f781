"""Bootstrap intervals: determinism, equality with plain resampling, and coverage by simulation."""

from __future__ import annotations

import numpy as np

from segloom.metrics import bootstrap_interval
from segloom.metrics.scores import ratio


def share(sums):
    """Successes over trials of ``(R, 2)``, as ``(R, 1)``."""
    return ratio(sums[:, 0], sums[:, 1])[:, None]


def images(seed, number, success=0.7):
    """Per-image (successes, trials): images differ in size and in difficulty."""
    random = np.random.default_rng(seed)
    trials = random.integers(50, 500, number)
    return np.stack([random.binomial(trials, random.beta(7, 3, number)), trials], axis=1)


def test_equal_seeds_give_equal_intervals_and_other_seeds_others():
    counts = images(0, 40)
    first = bootstrap_interval(counts, share, resamples=300, seed=1)
    np.testing.assert_array_equal(first, bootstrap_interval(counts, share, resamples=300, seed=1))
    assert (first != bootstrap_interval(counts, share, resamples=300, seed=2)).any()


def test_interval_agrees_with_resampling_written_out():
    counts = images(1, 60)
    random = np.random.default_rng(5)
    values = []
    for _ in range(4000):
        drawn = counts[random.integers(0, 60, 60)].sum(0)
        values.append(drawn[0] / drawn[1])
    expected = np.quantile(values, [0.025, 0.975])
    found = bootstrap_interval(counts, share, resamples=4000)[0]
    np.testing.assert_allclose(found, expected, atol=0.1 * (expected[1] - expected[0]))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """The share is 0.7 in the population; 300 test sets of 80 images each.

    95 % coverage has a standard error of 1.3 % here; percentile intervals of small samples are a
    little short (about 94 %).
    """
    covered = 0
    for seed in range(300):
        low, high = bootstrap_interval(images(seed, 80), share, resamples=400, seed=seed)[0]
        covered += low <= 0.7 <= high
    assert 0.90 <= covered / 300 <= 0.985


def test_more_images_give_a_shorter_interval():
    widths = [np.ptp(bootstrap_interval(images(3, number), share)) for number in (20, 2000)]
    assert widths[1] < widths[0] / 5


def test_fewer_than_two_images_or_no_resamples_give_no_interval():
    assert np.isnan(bootstrap_interval(images(0, 1), share)).all()
    assert np.isnan(bootstrap_interval(images(0, 9), share, resamples=0)).all()
    assert bootstrap_interval(np.zeros((0, 2)), share).shape == (1, 2)


def test_resamples_without_a_value_are_left_out():
    counts = np.array([[1, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal(bootstrap_interval(counts, share), [[0.5, 0.5]])
    assert np.isnan(bootstrap_interval(np.zeros((3, 2)), share)).all()


def test_identical_images_give_a_point():
    counts = np.tile([3, 4], (10, 1))
    np.testing.assert_array_equal(bootstrap_interval(counts, share), [[0.75, 0.75]])


def test_chunks_do_not_change_the_result(monkeypatch):
    counts = images(0, 30)
    whole = bootstrap_interval(counts, share, resamples=100)
    monkeypatch.setattr("segloom.metrics.statistics._CHUNK_BYTES", 8 * 32 * 7)
    np.testing.assert_array_equal(bootstrap_interval(counts, share, resamples=100), whole)
