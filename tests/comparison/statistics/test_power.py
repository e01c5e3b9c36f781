"""How many seeds a plan needs, against simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from support.comparisons import study

from segloom.comparison.statistics.analysis import analyse
from segloom.comparison.statistics.power import (
    StudySpread,
    find_seeds,
    read_spread,
    smallest_found,
)
from segloom.comparison.statistics.tables import write_comparison_tables
from segloom.errors import DataError


def test_one_comparison_needs_what_the_t_test_needs():
    """Without images it is a paired t-test: t(0.975, S - 1) + t(0.8, S - 1) standard errors."""
    spread = StudySpread(0.01**2, 0.0, 232.0, 1)
    for seeds in (3, 6, 20):
        expected = (stats.t.ppf(0.975, seeds - 1) + stats.t.ppf(0.8, seeds - 1)) * 0.01 / seeds**0.5
        assert smallest_found(spread, seeds, 1) == pytest.approx(expected)


def test_planned_seeds_find_the_gain_about_as_often_as_they_say():
    spread = StudySpread(0.0085**2, 0.0025**2, 232.0, 1)
    seeds = find_seeds(spread, 1, 0.015)
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(2000):
        values = rng.normal(0.015, 0.0085, seeds) + rng.normal(0, 0.0025)
        from_seeds = values.var(ddof=1) / seeds
        error = (from_seeds + 0.0025**2) ** 0.5
        share = from_seeds / error**2
        ratio = abs(values.mean()) / error
        p_value = 2 * (share * stats.t.sf(ratio, seeds - 1) + (1 - share) * stats.t.sf(ratio, 232))
        found += p_value < 0.05
    assert 0.76 <= found / 2000 <= 0.95


def test_images_limit_what_seeds_can_find():
    assert find_seeds(StudySpread(0.01**2, 0.01**2, 30.0, 4), 4, 0.01) is None


def test_spread_of_a_study_is_that_of_its_pairs(tmp_path):
    result = analyse(study(seeds=4), baseline="none")
    write_comparison_tables(tmp_path, result)
    found = read_spread(tmp_path)
    score = result.groups[0].pairs[0].scores["mIoU"]
    assert found.seed_variance == pytest.approx(np.var(score.per_seed, ddof=1))
    total = found.seed_variance / 4 + found.image_variance
    assert total == pytest.approx(score.standard_error**2)
    assert (found.image_degrees, found.num_comparisons) == (19, 1)


def test_a_study_of_one_seed_has_no_spread(tmp_path):
    write_comparison_tables(tmp_path, analyse(study(seeds=1), baseline="none"))
    with pytest.raises(DataError, match="has no comparison with two seeds or more"):
        read_spread(tmp_path)


def test_dry_run_names_the_seeds_that_the_smallest_gain_takes(tmp_path, capsys, monkeypatch):
    from segloom.cli.dry_run import dry_run
    from segloom.comparison.cells.probe import Probe
    from segloom.config.comparison import ComparisonPlan
    from segloom.config.run import RunConfig

    found = Probe(1.0, 0.0, 0.0, 0.5, steps_per_epoch=10, num_validation=0, num_test=0)
    monkeypatch.setattr("segloom.comparison.cells.budget.probe", lambda config: found)
    write_comparison_tables(tmp_path, analyse(study(seeds=4), baseline="none"))
    plan = ComparisonPlan(
        enhancements=("none", "se"), seeds=(0, 1), recipes={"mine": RunConfig()}, smallest_gain=5.0
    )
    assert dry_run(plan, tmp_path / "new", workers=1, spread_from=None) == 0
    assert "name an earlier study of the recipe with --spread-from" in capsys.readouterr().out
    assert dry_run(plan, tmp_path / "new", workers=1, spread_from=tmp_path) == 0
    text = capsys.readouterr().out
    needed = find_seeds(read_spread(tmp_path), 1, 0.05)
    assert f"a gain of 5 points takes {needed} seeds" in text
    assert "2 seeds find a gain of" in text


@pytest.mark.parametrize(("num_seeds", "comparisons"), [(2, 1), (3, 4), (8, 2)])
def test_the_smallest_gain_is_its_formula(num_seeds, comparisons):
    """Cochran's quantile for the test, Satterthwaite's degrees for the power, Holm's first step."""
    spread = StudySpread(4e-4, 1e-4, 50.0, 3)
    from_seeds = 4e-4 / num_seeds
    variance = from_seeds + 1e-4
    degrees = max(1, (num_seeds - 1) * comparisons)
    tail = 0.05 / comparisons / 2
    seeds, images = from_seeds / variance, 1e-4 / variance
    needed = seeds * stats.t.isf(tail, degrees) + images * stats.t.isf(tail, 50)
    together = variance**2 / (from_seeds**2 / degrees + 1e-4**2 / 50)
    expected = (needed + stats.t.ppf(0.8, together)) * variance**0.5
    found = smallest_found(spread, num_seeds, comparisons)
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_fewest_seeds_are_the_first_that_find_the_gain():
    spread = StudySpread(4e-4, 1e-6, 200.0, 3)
    seeds = find_seeds(spread, 2, 0.02)
    assert smallest_found(spread, seeds, 2) <= 0.02 < smallest_found(spread, seeds - 1, 2)
    assert find_seeds(spread, 2, 1.0) == 2
    assert find_seeds(spread, 2, 1e-6) is None
