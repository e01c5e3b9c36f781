"""What every variant is worth over all networks of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.general import NetworkGain, general_effect
from segloom.comparison.statistics.paired import PairedDifferences, holm
from segloom.comparison.statistics.results import Measured
from segloom.comparison.statistics.verdicts import PRIMARY, Measurement, general_verdict
from segloom.report.comparison_result import ComparedPair, GeneralGain

__all__ = ["general_gains", "sides"]


def sides(
    pair: ComparedPair, runs: Sequence[Measured], group: Group
) -> tuple[list[Measured], list[Measured]]:
    """Return the runs with and without, of the seeds that both have."""
    own = {(run.variant, run.seed): run for run in runs if run.group == group}
    seeds = sorted(s for name, s in own if name == pair.variant and (pair.baseline, s) in own)
    with_it = [own[pair.variant, seed] for seed in seeds]
    return with_it, [own[pair.baseline, seed] for seed in seeds]


def general_gains(
    measurements: Sequence[Measurement],
    places: Sequence[Group],
    runs: Sequence[Measured],
    smallest_gain: float,
    *,
    level: float,
) -> list[GeneralGain]:
    """Combine the gains of every variant over the groups, where there are two or more."""
    from scipy import stats

    networks: dict[str, list[NetworkGain]] = {}
    for item, group in zip(measurements, places, strict=True):
        if item.found is not None and item.found.num_seeds > 1 and PRIMARY in item.pair.scores:
            networks.setdefault(item.pair.variant, []).append(
                _network(item.pair, item.found, group, runs)
            )
    effects = {name: general_effect(items) for name, items in networks.items()}
    known = {name: effect for name, effect in effects.items() if effect is not None}
    adjusted = holm([effect.p_value for effect in known.values()])
    gains = []
    for (name, effect), p_value in zip(known.items(), adjusted, strict=True):
        margin = float(stats.t.ppf(1 - level, effect.degrees)) * effect.standard_error
        ends = (effect.gain - margin, effect.gain + margin)
        gains.append(
            GeneralGain(
                variant=name,
                num_networks=effect.num_networks,
                difference=effect.gain,
                interval=list(effect.interval),
                standard_error=effect.standard_error,
                degrees=effect.degrees,
                p_value=effect.p_value,
                holm_p_value=p_value,
                tau=effect.tau,
                tau_interval=list(effect.tau_interval),
                prediction=None if effect.prediction is None else list(effect.prediction),
                verdict=general_verdict(effect.gain, p_value, ends, smallest_gain, level=level),
            )
        )
    return gains


def _network(
    pair: ComparedPair, found: PairedDifferences, group: Group, runs: Sequence[Measured]
) -> NetworkGain:
    column = list(pair.scores).index(PRIMARY)
    means = [
        np.mean([run.resampled[:, column] for run in side], axis=0)
        for side in sides(pair, runs, group)
    ]
    return NetworkGain(
        data=group.recipe,
        gain=float(found.difference[column]),
        variance=float(found.seed_variance[column]) / found.num_seeds,
        resampled=means[0] - means[1],
        image_degrees=found.image_degrees,
    )
