"""From measured runs to a comparison: what helps, by how much, and how sure that is.

Only facts are found here; `segloom.report.comparison_words` words them. Shares are 0 to 1; what
does not exist is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from segloom.comparison.cells.plan import Group
from segloom.comparison.statistics.evidence import (
    late_gain,
    seed_correlation,
    training_course,
    variance_shares,
)
from segloom.comparison.statistics.moderated import moderate
from segloom.comparison.statistics.networks import general_gains, sides
from segloom.comparison.statistics.paired import (
    LEVEL,
    POWER,
    PairedDifferences,
    paired_differences,
)
from segloom.comparison.statistics.results import RESAMPLES, Measured
from segloom.comparison.statistics.verdicts import (
    PRIMARY,
    Measurement,
    adjust,
    finite,
    rule,
)
from segloom.config.comparison import CONVERGED, SMALLEST_GAIN
from segloom.errors import DataError
from segloom.evaluation.groups import resampling_words
from segloom.report.comparison_result import (
    ComparedGroup,
    ComparedPair,
    ComparedResampling,
    ComparedRow,
    ComparisonResult,
    MissingRun,
    PlainDifference,
    RunPlace,
    ScoreDifference,
    ScoreSummary,
)

__all__ = ["PRIMARY", "FailedCell", "Spread", "analyse"]

VERSION = 2

Spread = Literal["moderated", "plain"]
"""Whose seeds tell the spread of a pair: those of all pairs, or its own alone."""

COSTS = (
    "parameters",
    "multiply_adds",
    "latency_seconds",
    "train_seconds",
    "train_memory_gib",
    "test_seconds",
)


@dataclass(frozen=True)
class FailedCell:
    """A run that came to nothing; it has its place in the table."""

    name: str
    group: Group
    variant: str
    seed: int
    state: str
    """failed, or how far it is."""
    cause: str


def analyse(
    runs: Sequence[Measured],
    *,
    baseline: str,
    missing: Sequence[FailedCell] = (),
    conditions: dict[str, Any] | None = None,
    smallest_gain: float = SMALLEST_GAIN / 100,
    spread: Spread = "moderated",
    level: float = LEVEL,
) -> ComparisonResult:
    """Compare every kind of run with the baseline of its group.

    Args:
        runs: What was measured.
        baseline: Name of the kind that the others are compared with.
        missing: Runs that failed or are not done.
        conditions: Protocol of the comparison, kept as it is.
        smallest_gain: Smallest gain of interest, as a share.
        spread: Whether the spread between seeds is estimated from all comparisons together.
        level: Of each family; less than `LEVEL` where several looks share it.

    Raises:
        DataError: Two runs of a group were tested on different images or classes.
    """
    groups = list(dict.fromkeys([*(run.group for run in runs), *(cell.group for cell in missing)]))
    parts = [_group(group, runs, missing, baseline) for group in groups]
    by_group = [
        [_measure(pair, runs, group) for pair in part.pairs]
        for part, group in zip(parts, groups, strict=True)
    ]
    measurements = [item for items in by_group for item in items]
    if spread == "moderated":
        measurements = _moderate(measurements, shared=_shared(by_group))
    places = [group for group, items in zip(groups, by_group, strict=True) for _ in items]
    for item, place in zip(measurements, places, strict=True):
        _fill(item)
        _divide(item, runs, place)
    for part in parts:
        _qualify(part)
    adjust(measurements, smallest_gain, level)
    return ComparisonResult(
        version=VERSION,
        baseline=baseline,
        primary=PRIMARY,
        rule=rule(smallest_gain, spread, level),
        level=level,
        power=POWER,
        resamples=RESAMPLES,
        conditions=conditions or {},
        groups=parts,
        spread=spread,
        smallest_gain=smallest_gain,
        general=general_gains(measurements, places, runs, smallest_gain, level=level),
    )


def _group(
    group: Group, runs: Sequence[Measured], missing: Sequence[FailedCell], baseline: str
) -> ComparedGroup:
    own = [run for run in runs if run.group == group]
    lost = [cell for cell in missing if cell.group == group]
    _check(own)
    variants = list(dict.fromkeys([*(run.variant for run in own), *(c.variant for c in lost)]))
    # The baseline first, the others in the order of the plan.
    variants.sort(key=lambda name: name != baseline)
    return ComparedGroup(
        recipe=group.recipe,
        architecture=group.architecture,
        encoder=group.encoder,
        classes=list(own[0].classes) if own else [],
        num_images=len(own[0].ids) if own else 0,
        image_size=next(
            (run.facts["image_size"] for run in own if "image_size" in run.facts), None
        ),
        late_gain=late_gain([run for run in own if run.variant == baseline]),
        resampling=_resampling(own),
        rows=[_row(name, own, lost) for name in variants],
        pairs=[ComparedPair(name, baseline, [], {}) for name in variants if name != baseline],
    )


def _qualify(group: ComparedGroup) -> None:
    """Add to every pair what a reader has to know of its baseline."""
    values = {row.variant: dict(zip(row.seeds, _primary(row), strict=True)) for row in group.rows}
    for pair in group.pairs:
        both = [
            [values[name][seed] for seed in pair.seeds] for name in (pair.variant, pair.baseline)
        ]
        pair.seed_correlation = seed_correlation(*both)
        if group.late_gain is not None:
            pair.has_converged = group.late_gain < CONVERGED


def _primary(row: ComparedRow) -> list[float | None]:
    score = row.scores.get(PRIMARY)
    return [None] * len(row.seeds) if score is None else score.values


def _resampling(runs: Sequence[Measured]) -> ComparedResampling | None:
    if not runs:
        return None
    drawn, facts = runs[0].resampling, runs[0].facts
    return ComparedResampling(
        unit=drawn.unit,
        degrees=drawn.degrees,
        groups=list(drawn.groups),
        rule=resampling_words(drawn),
        trained_groups=facts.get("trained_groups"),
    )


def _check(runs: Sequence[Measured]) -> None:
    """Make sure that runs may be compared image by image."""
    for run in runs:
        first = runs[0]
        for what, one, other in (
            ("classes", first.classes, run.classes),
            ("images", first.ids, run.ids),
            ("scores", first.score_names, run.score_names),
        ):
            if one != other:
                raise DataError(
                    f"{run.path} and {first.path} were tested on other {what}; measure both with "
                    "the same `segloom eval` options on the same split."
                )


def _row(variant: str, runs: Sequence[Measured], lost: Sequence[FailedCell]) -> ComparedRow:
    own = sorted((run for run in runs if run.variant == variant), key=lambda run: run.seed)
    scores: dict[str, ScoreSummary] = {}
    if own:
        values = np.stack([run.scores for run in own])  # (S, V)
        for column, name in enumerate(own[0].score_names):
            found = values[:, column]
            scores[name] = ScoreSummary(
                mean=finite(found.mean()),
                spread=finite(found.std(ddof=1)) if len(own) > 1 else None,
                values=[finite(value) for value in found],
            )
    return ComparedRow(
        variant=variant,
        seeds=[run.seed for run in own],
        runs=[RunPlace(run.name, run.seed, str(run.path)) for run in own],
        scores=scores,
        cost={name: _median(run.facts.get(name) for run in own) for name in COSTS},
        missing=[
            MissingRun(cell.name, cell.seed, cell.state, cell.cause)
            for cell in lost
            if cell.variant == variant
        ],
        course=training_course(own),
    )


def _measure(pair: ComparedPair, runs: Sequence[Measured], group: Group) -> Measurement:
    """Compare a variant with the baseline; what every seed says goes into the pair."""
    both = sides(pair, runs, group)
    if not both[0]:
        return Measurement(pair, None, None)
    first = both[0][0]
    pair.seeds = [run.seed for run in both[0]]
    scores = [np.stack([run.scores for run in side]) for side in both]
    resampled = [np.stack([run.resampled for run in side]) for side in both]
    found = paired_differences(
        scores[0],
        scores[1],
        resampled[0],
        resampled[1],
        len(first.ids),
        image_degrees=first.resampling.degrees,
    )
    pair.by_group = _by_group(*both)
    for column, name in enumerate(first.score_names):
        per_seed = [finite(value) for value in (scores[0] - scores[1])[:, column]]
        pair.scores[name] = ScoreDifference(
            None, per_seed, None, None, None, None, None, None, None
        )
    return Measurement(pair, found, found)


def _by_group(with_it: Sequence[Measured], without: Sequence[Measured]) -> dict[str, float | None]:
    """Return the mean difference in mIoU inside every group of images."""
    found: dict[str, float | None] = {}
    for name in with_it[0].group_miou:
        values = [
            (one.group_miou[name], two.group_miou[name])
            for one, two in zip(with_it, without, strict=True)
        ]
        known = [one - two for one, two in values if one is not None and two is not None]
        found[name] = finite(np.mean(known)) if len(known) == len(values) else None
    return found


def _shared(by_group: Sequence[Sequence[Measurement]]) -> float:
    """Return the mean number of pairs that are compared with one baseline."""
    counts = [sum(item.found is not None for item in items) for items in by_group]
    used = [count for count in counts if count]
    return sum(used) / len(used) if used else 1.0


def _moderate(measurements: Sequence[Measurement], *, shared: float) -> list[Measurement]:
    """Estimate the spread between seeds of every score from all pairs that have it."""
    items = [item for item in measurements if item.found is not None and len(item.pair.seeds) > 1]
    if len(items) < 2:
        return list(measurements)
    spreads = {
        id(item): (item.found.seed_variance.copy(), item.found.seed_degrees.copy())
        for item in items
        if item.found is not None
    }
    for name in dict.fromkeys(name for item in items for name in item.pair.scores):
        own = [
            (item, list(item.pair.scores).index(name)) for item in items if name in item.pair.scores
        ]
        found = moderate(
            np.array([spreads[id(item)][0][column] for item, column in own]),
            np.array([spreads[id(item)][1][column] for item, column in own]),
            shared=shared,
        )
        for place, (item, column) in enumerate(own):
            spreads[id(item)][0][column] = found.variance[place]
            spreads[id(item)][1][column] = found.degrees[place]
    return [
        replace(item, found=item.found.with_spread(*spreads[id(item)]))
        if item.found is not None and id(item) in spreads
        else item
        for item in measurements
    ]


def _fill(item: Measurement) -> None:
    """Write the statistics of a pair into it, score by score."""
    found, plain = item.found, item.plain
    if found is None or plain is None:
        return
    for column, score in enumerate(item.pair.scores.values()):
        score.difference = finite(found.difference[column])
        score.interval = _ends(found.interval[column])
        score.equal_interval = _ends(found.equal_interval[column])
        score.standard_error = finite(found.standard_error[column])
        score.degrees = finite(found.degrees[column])
        score.seed_share = finite(found.seed_share[column])
        score.p_value = finite(found.p_value[column])
        score.sign_flip_p_value = finite(found.sign_flip_p_value[column])
        score.effect_size = finite(found.effect_size[column])
        if plain is not found:
            score.plain = _plain(plain, column)


def _divide(item: Measurement, runs: Sequence[Measured], group: Group) -> None:
    """Say what the gain of a pair varies by."""
    if item.found is not None and PRIMARY in item.pair.scores:
        column = list(item.pair.scores).index(PRIMARY)
        item.pair.variance = variance_shares(item.found, column, *sides(item.pair, runs, group))


def _plain(found: PairedDifferences, column: int) -> PlainDifference:
    return PlainDifference(
        interval=_ends(found.interval[column]),
        standard_error=finite(found.standard_error[column]),
        degrees=finite(found.degrees[column]),
        p_value=finite(found.p_value[column]),
    )


def _ends(interval: Iterable[float]) -> list[float] | None:
    """Return both ends; no difference of two shares lies beyond -1 and 1."""
    ends = [min(1.0, max(-1.0, end)) for end in map(finite, interval) if end is not None]
    return ends if len(ends) == 2 else None


def _median(values: Iterable[float | None]) -> float | None:
    given = sorted(value for value in values if value is not None)
    return float(np.median(given)) if given else None
