"""Seeds round by round: the looks, the cells that are left out, and simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from support.comparisons import GROUP, study

from segloom.comparison.cells.plan import Cell, Group
from segloom.comparison.cells.rounds import (
    Decided,
    Look,
    open_cells,
    plan_looks,
    read_decided,
    round_seeds,
    settle,
)
from segloom.comparison.statistics.analysis import analyse
from segloom.comparison.statistics.looks import keep_verdicts, newly_decided
from segloom.comparison.statistics.moderated import moderate
from segloom.comparison.statistics.paired import holm
from segloom.config.comparison import ComparisonPlan
from segloom.config.run import RunConfig
from segloom.errors import DataError

UNET, FPN = Group("streets", "unet", "resnet18"), Group("streets", "fpn", "resnet18")
KEY = ("streets", "unet", "resnet18")


def plan(**options):
    values = {"enhancements": ("none", "afma"), "seeds": (0, 1, 4), "until_decided": True}
    return ComparisonPlan(**{**values, "max_seeds": 6, **options})


def test_looks_are_declared_and_their_parts_add_up_to_the_level():
    looks = plan_looks(plan(), 0.05)
    assert [look.seeds[3:] for look in looks] == [(), (5,), (5, 6), (5, 6, 7)]
    assert looks[0].level == pytest.approx(0.05 * math.log(1 + (math.e - 1) * 0.5))
    assert sum(look.level for look in looks) == pytest.approx(0.05)
    assert all(look.level > 0 for look in looks)


def test_seeds_that_leave_no_round_are_refused():
    with pytest.raises(ValidationError, match="begins with two seeds or more and ends with more"):
        plan(max_seeds=3)
    with pytest.raises(ValidationError, match="begins with two seeds or more"):
        plan(seeds=(0,))


def cells(groups=(UNET, FPN), variants=("none", "afma", "celt"), seeds=range(4)):
    return [
        Cell(f"{g.architecture}-{v}-{s}", g, v, s, RunConfig())
        for g in groups
        for v in variants
        for s in seeds
    ]


def kept(tmp_path, decided):
    settle(tmp_path, range(4), decided)
    assert read_decided(tmp_path) == list(decided)
    return {cell.id for cell in open_cells(cells(), tmp_path, "none")}


def test_decided_comparisons_get_no_more_cells_and_baselines_last_as_long_as_one_is_open(tmp_path):
    everything = {cell.id for cell in cells()}
    assert {cell.id for cell in open_cells(cells(), tmp_path, "none")} == everything
    afma = Decided(KEY, "afma", "helps", (0, 1), 1)
    assert everything - kept(tmp_path, [afma]) == {"unet-afma-2", "unet-afma-3"}
    celt = Decided(KEY, "celt", "practically equal", (0, 1, 2), 2)
    assert everything - kept(tmp_path, [afma, celt]) == {
        "unet-afma-2",
        "unet-afma-3",
        "unet-celt-3",
        "unet-none-3",
    }


def test_present_round_has_its_seeds_and_damage_is_named(tmp_path):
    assert round_seeds(plan(), tmp_path).seeds == (0, 1, 4)
    settle(tmp_path, (0, 1, 4, 5), [])
    assert round_seeds(plan(), tmp_path).seeds == (0, 1, 4, 5)
    (tmp_path / "rounds.json").write_text("{")
    with pytest.raises(DataError, match=r"rounds\.json is damaged; remove it"):
        round_seeds(plan(), tmp_path)


def test_a_verdict_is_not_taken_back_by_a_later_look():
    result = analyse(study(gain=0.05), baseline="none", level=0.02)
    assert result.level == 0.02
    assert "is below 0.02" in result.rule
    assert "Several looks share the level of 0.05" in result.rule
    (found,) = newly_decided(result, Look(2, (0, 1, 2), 0.02), [])
    assert (found.verdict, found.seeds, found.look) == ("helps", (0, 1, 2), 2)
    assert newly_decided(result, Look(3, (0, 1, 2), 0.02), [found]) == []
    assert found.group == (GROUP.recipe, GROUP.architecture, GROUP.encoder)
    later = analyse(study(gain=0.0), baseline="none")
    keep_verdicts(later, [found])
    assert later.groups[0].pairs[0].verdict == "helps"


def simulate(gains, *, draws, first=3, most=8, prior_degrees=9):
    """Draw studies and go through the looks; return family level or power, and seeds per pair."""
    rng = np.random.default_rng(7)
    looks = plan_looks(plan(seeds=tuple(range(first)), max_seeds=most), 0.05)
    gains = np.asarray(gains, np.float64)
    false, found, used = 0, 0, 0
    for _ in range(draws):
        own = 0.72 * prior_degrees / rng.chisquare(prior_degrees, len(gains))
        images = rng.normal(0, np.sqrt(0.06), len(gains))
        seeds = rng.normal(size=(len(gains), most)) * np.sqrt(own)[:, None]
        seeds += (gains + images)[:, None]
        settled = np.zeros(len(gains), bool)
        counts = np.full(len(gains), first)
        verdicts = np.zeros(len(gains), bool)
        for look in looks:
            counts[~settled] = len(look.seeds)
            known = [seeds[c, : counts[c]] for c in range(len(gains))]
            spread = moderate(np.array([part.var(ddof=1) for part in known]), counts - 1.0)
            variance = spread.variance / counts + 0.06
            share = spread.variance / counts / variance
            means = np.array([part.mean() for part in known])

            def tail(ratio, share=share, degrees=spread.degrees):
                return share * stats.t.sf(ratio, degrees) + (1 - share) * stats.t.sf(ratio, 232)

            error = np.sqrt(variance)
            differs = np.array(holm((2 * tail(np.abs(means) / error)).tolist())) < look.level
            equal = np.array(holm(tail((1 - np.abs(means)) / error).tolist())) < look.level
            verdicts |= differs & ~settled
            settled |= differs | equal
            if settled.all():
                break
        false += bool((verdicts & (gains == 0)).any())
        found += bool(verdicts[0])
        used += counts.mean()
    return false / draws, found / draws, used / draws


@pytest.mark.slow
def test_rounds_keep_the_level_of_the_family_and_save_trainings():
    """Six pairs without an effect: at most 5 % of studies with a false verdict (1 % error)."""
    level, _, used = simulate([0.0] * 6, draws=500)
    assert level <= 0.06
    assert used < 8


@pytest.mark.slow
def test_rounds_find_a_large_gain_with_fewer_seeds_than_a_fixed_plan():
    _, power, used = simulate([3.0] * 6, draws=200)
    assert power >= 0.8
    assert used < 6.5
