"""Moderated variances: known values, limits, and simulated studies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, polygamma

from segloom.comparison.statistics import moderated
from segloom.comparison.statistics.moderated import moderate

STUDY = Path(__file__).parents[3] / "benchmarks/studies/camvid/comparison.json"
IMAGES, NUM_IMAGES = 0.06, 233
"""Variance from the choice of the images, in points squared; CamVid's test images."""


def fit_prior(variances: np.ndarray, degrees: np.ndarray) -> tuple[float, float]:
    """Estimate ``d0`` and ``s0^2`` by moments (Smyth 2004, section 6.2).

    Args:
        variances: ``(C,)``, positive, two or more.
        degrees: ``(C,)``.

    Returns:
        Prior degrees of freedom, maybe infinite, and prior variance.
    """
    half = np.asarray(degrees, np.float64) / 2
    logs = np.log(variances) - digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if excess <= 0:
        return math.inf, math.exp(logs.mean())
    prior = 2 * _inverse_trigamma(excess)
    return prior, math.exp(logs.mean() + float(digamma(prior / 2)) - math.log(prior / 2))


def _inverse_trigamma(value: float) -> float:
    """Solve ``trigamma(x) = value`` by Newton's method (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        slope = float(polygamma(1, x))
        step = slope * (1 - slope / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x


@pytest.mark.parametrize("value", [1e-4, 0.01, 0.5, 3.0, 100.0, 1e6])
def test_trigamma_is_inverted(value):
    assert polygamma(1, _inverse_trigamma(value)) == pytest.approx(value, rel=1e-6)


def test_inverse_of_trigamma_is_limmas():
    """The values that limma prints in its own tests, see `LIMMA`."""
    found = [_inverse_trigamma(value) for value in (1e-6, 5.0, 1e6)]
    np.testing.assert_allclose(found, [1e6, 4.961687e-1, 1.000001e-3], rtol=1e-6)


LIMMA = {
    "sigma": np.array([1.3425032, 0.4647155, 1.1993444, 0.9428569, 0.9421509]),
    "df.residual": np.array([6.0, 6, 6, 6, 4]),
    "df.prior": 9.306153,
    "s2.prior": 0.923179,
    "s2.post": np.array([1.2677996, 0.6459499, 1.1251558, 0.9097727, 0.9124980]),
    "df.total": np.array([15.30615, 15.30615, 15.30615, 15.30615, 13.30615]),
}
"""What limma's `eBayes` (R 3.5.0) prints for five genes on nine arrays, two values missing: the
block "Similar to Mette Langaas 19 May 2004" of its reference output, tests/limma-Tests.Rout.save of
the package at Bioconductor."""


def test_moment_estimates_are_those_of_limma():
    degrees, prior = fit_prior(LIMMA["sigma"] ** 2, LIMMA["df.residual"])
    assert degrees == pytest.approx(LIMMA["df.prior"], rel=1e-5)
    assert prior == pytest.approx(LIMMA["s2.prior"], rel=1e-5)


def test_with_the_prior_of_limma_the_variances_and_degrees_are_those_of_limma(monkeypatch):
    prior = (np.array([LIMMA["df.prior"]]), np.array([LIMMA["s2.prior"]]))
    monkeypatch.setattr(moderated, "_grid", lambda variances, degrees: prior)
    found = moderate(LIMMA["sigma"] ** 2, LIMMA["df.residual"])
    np.testing.assert_allclose(found.variance, LIMMA["s2.post"], rtol=1e-6)
    np.testing.assert_allclose(found.degrees, LIMMA["df.total"], rtol=1e-6)


def test_averages_over_priors_are_those_of_numerical_integration():
    """The same model without a closed form: sums over sigma^2 itself, with scipy's densities."""
    seen, degrees = np.array([0.3, 0.8, 1.1, 2.5]), np.array([2.0, 2, 4, 2])
    found = moderate(seen, degrees)
    steps = np.linspace(-14, 14, 8001)  # log sigma^2
    sigma = np.exp(steps)
    logs = np.log(seen)
    total, precision, square = [], [], []
    for prior_degrees in moderated.PRIOR_DEGREES:
        for prior in np.exp(np.linspace(logs.min() - 1, logs.max() + 1, moderated.PRIOR_STEPS)):
            half = prior_degrees / 2
            density = stats.invgamma.pdf(sigma, half, scale=half * prior) * sigma
            scaled = seen[:, None] * degrees[:, None] / sigma
            likelihood = stats.chi2.pdf(scaled, degrees[:, None]) * degrees[:, None] / sigma
            joint = likelihood * density  # (C, steps)
            evidence = joint.sum(1)
            total.append(np.log(evidence).sum())
            precision.append((joint / sigma).sum(1) / evidence)
            square.append((joint / sigma**2).sum(1) / evidence)
    weights = np.exp(np.array(total) - max(total))
    weights /= weights.sum()
    mean, second = weights @ np.array(precision), weights @ np.array(square)
    np.testing.assert_allclose(found.variance, 1 / mean, rtol=1e-4)
    expected = np.minimum(2 / (second / mean**2 - 1), degrees.sum())
    np.testing.assert_allclose(found.degrees, expected, rtol=1e-3)


def test_prior_of_nine_pairs_worked_out_by_hand():
    """The log variances' variance, 1.2225, less trigamma(1) is negative for these: no excess."""
    variances = np.array([1.0, 2.0, 4.0])
    degrees, prior = fit_prior(variances, np.full(3, 2.0))
    assert degrees == np.inf
    # E log chi^2(2)/2 = digamma(1) = -0.5772, so the prior is exp(mean log + 0.5772).
    assert prior == pytest.approx(2.0 * np.exp(0.5772156649))


def test_prior_is_found_again_among_many_pairs():
    rng = np.random.default_rng(0)
    true = 0.72 * 6 / rng.chisquare(6, 20_000)
    seen = true * rng.chisquare(2, 20_000) / 2
    degrees, prior = fit_prior(seen, np.full(20_000, 2.0))
    assert degrees == pytest.approx(6, rel=0.12)
    assert prior == pytest.approx(0.72, rel=0.05)


def test_many_pairs_give_the_variances_of_the_paper_with_the_true_prior():
    rng = np.random.default_rng(1)
    true = 0.72 * 6 / rng.chisquare(6, 1000)
    seen = true * rng.chisquare(2, 1000) / 2
    found = moderate(seen, np.full(1000, 2.0))
    np.testing.assert_allclose(found.variance, (6 * 0.72 + 2 * seen) / (6 + 2), rtol=0.12)
    assert np.median(found.degrees) == pytest.approx(6 + 2, rel=0.1)


def test_one_pair_and_equal_runs_borrow_nothing():
    alone = moderate(np.array([0.5, 0.0, np.nan]), np.array([2.0, 2.0, 2.0]))
    assert alone.variance[0] == 0.5
    assert alone.variance[1] == 0
    assert np.isnan(alone.variance[2])
    assert (alone.degrees == 2).all()


def test_variances_move_towards_each_other_and_gain_degrees():
    seen = np.array([0.02, 0.7, 0.9, 1.4, 3.0])
    found = moderate(seen, np.full(5, 2.0))
    assert (np.diff(found.variance) > 0).all()
    assert found.variance[0] > seen[0]
    assert found.variance[-1] < seen[-1]
    assert (found.degrees[1:] > 2).all()
    assert (found.degrees <= 10).all()
    # A pair far below the others may be lucky or truly quiet: that doubt costs it degrees.
    assert found.degrees[0] < 2


def test_scale_of_the_score_does_not_matter():
    seen = np.array([0.02, 0.7, 0.9, 1.4])
    one, other = (moderate(seen * scale, np.full(4, 2.0)) for scale in (1.0, 1e-4))
    np.testing.assert_allclose(other.variance, one.variance * 1e-4)
    np.testing.assert_allclose(other.degrees, one.degrees)


def test_known_study_is_estimated_with_its_own_spreads():
    """The committed study: the moment estimates of its nine pairs are 8.8 and 0.85 points."""
    groups = json.loads(STUDY.read_text(encoding="utf-8"))["groups"]
    seeds = [pair["scores"]["mIoU"]["per_seed"] for group in groups for pair in group["pairs"]]
    variances = np.var(seeds, axis=1, ddof=1)
    degrees, prior = fit_prior(variances, np.full(len(seeds), 2.0))
    assert degrees == pytest.approx(8.8, abs=0.1)
    assert 100 * np.sqrt(prior) == pytest.approx(0.85, abs=0.01)


def simulate(pairs, seeds, prior_degrees, *, is_shared, draws, borrow=True):
    """Draw studies without an effect; return level, family level, coverage and power.

    Power is that of finding a gain of 2 points of the first pair after Holm's adjustment.
    """
    rng = np.random.default_rng(5)
    shape = (draws, pairs)
    own = np.full(shape, 0.72)
    if np.isfinite(prior_degrees):
        own = 0.72 * prior_degrees / rng.chisquare(prior_degrees, shape)
    differences = rng.normal(size=(*shape, seeds)) * np.sqrt(own)[..., None]
    group = min(3, pairs) if is_shared else 1
    if is_shared:  # half of the spread is the baseline's, one for three pairs
        baselines = rng.normal(0, np.sqrt(0.36), (draws, -(-pairs // group), seeds))
        differences = differences * np.sqrt(0.5)
        differences += np.repeat(baselines, group, axis=1)[:, :pairs]
    means = differences.mean(2) + rng.normal(0, np.sqrt(IMAGES), shape)
    results = []
    for mean, variance in zip(means, differences.var(2, ddof=1), strict=True):
        degrees = np.full(pairs, seeds - 1.0)
        if borrow:
            found = moderate(variance, degrees, shared=group)
            variance, degrees = found.variance, found.degrees
        results.append(_judge(mean, variance / seeds, degrees))
    levels, families, covered, powers = zip(*results, strict=True)
    return np.mean(levels), np.mean(families), np.mean(covered), np.mean(powers)


def _judge(mean, from_seeds, degrees):
    total = from_seeds + IMAGES
    share = from_seeds / total

    def p_values(values):
        ratio = np.abs(values) / np.sqrt(total)
        of_images = stats.t.sf(ratio, NUM_IMAGES - 1)
        return 2 * (share * stats.t.sf(ratio, degrees) + (1 - share) * of_images)

    satterthwaite = total**2 / (from_seeds**2 / degrees + IMAGES**2 / (NUM_IMAGES - 1))
    covered = np.abs(mean) <= stats.t.ppf(0.975, satterthwaite) * np.sqrt(total)
    null = p_values(mean)
    with_gain = p_values(mean + 2 * (np.arange(len(mean)) == 0))
    rank = int((with_gain < with_gain[0]).sum())
    ahead = np.sort(with_gain)[: rank + 1]
    is_found = (ahead * (len(mean) - np.arange(rank + 1)) < 0.05).all()
    return (null < 0.05).mean(), null.min() < 0.05 / len(mean), covered.mean(), is_found


@pytest.mark.slow
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("prior_degrees", [4, 9, np.inf])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("pairs", [2, 3, 6, 9, 20])
def test_level_of_tests_and_family_and_coverage(pairs, seeds, prior_degrees, is_shared):
    draws = 1500
    level, family, covered, power = simulate(
        pairs, seeds, prior_degrees, is_shared=is_shared, draws=draws
    )
    print(
        f"{pairs} {seeds} {prior_degrees} {is_shared}: {level:.3f} {family:.3f} "
        f"{covered:.3f} {power:.2f}"
    )
    # A level of exactly 5 % gives up to 6.1 % in 1,500 draws (3 in 100 tests), and a coverage of
    # 93 % may fall to 92.5 %. Measured: at most 5.3 %, and 92.9 to 96 %.
    assert level <= 0.061
    assert family <= 0.061
    assert 0.925 <= covered <= 0.97


def test_borrowing_finds_more_than_three_seeds_alone():
    options = {"is_shared": False, "draws": 200}
    plain = simulate(6, 3, np.inf, borrow=False, **options)[3]
    assert simulate(6, 3, np.inf, **options)[3] > 1.5 * plain
