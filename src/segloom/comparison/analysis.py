"""From measured runs to a comparison: what helps, by how much, and how sure that is.

The result is plain JSON values, the content of ``comparison.json``; every table and page is made
from it. Shares are 0 to 1; what does not exist is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np

from segloom.comparison.paired import LEVEL, POWER, PairedDifferences, holm, paired_differences
from segloom.comparison.plan import Group
from segloom.comparison.results import RESAMPLES, Measured
from segloom.errors import DataError
from segloom.report.comparison_words import p_value, signed

__all__ = ["PRIMARY", "RULE", "FailedCell", "analyse"]

VERSION = 1
PRIMARY = "mIoU"
"""The score that the verdict is about."""
RULE = (
    "helps or hurts: the p-value of the mIoU difference, adjusted by Holm over all comparisons of "
    f"this table, is below {LEVEL:g}. Otherwise no difference is detected, and the smallest one "
    f"that this study finds with a probability of {POWER:.0%} is named. With one seed there is no "
    "p-value and no verdict: what another seed would do is unknown."
)

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
) -> dict[str, Any]:
    """Compare every kind of run with the baseline of its group.

    Args:
        runs: What was measured.
        baseline: Name of the kind that the others are compared with.
        missing: Runs that failed or are not done.
        conditions: Protocol of the comparison, kept as it is.

    Raises:
        DataError: Two runs of a group were tested on different images or classes.
    """
    groups = list(dict.fromkeys([*(run.group for run in runs), *(cell.group for cell in missing)]))
    parts = [_group(group, runs, missing, baseline) for group in groups]
    _adjust([pair for part in parts for pair in part["pairs"]])
    return {
        "version": VERSION,
        "baseline": baseline,
        "primary": PRIMARY,
        "rule": RULE,
        "level": LEVEL,
        "power": POWER,
        "resamples": RESAMPLES,
        "conditions": conditions or {},
        "groups": parts,
    }


def _group(
    group: Group, runs: Sequence[Measured], missing: Sequence[FailedCell], baseline: str
) -> dict[str, Any]:
    own = [run for run in runs if run.group == group]
    lost = [cell for cell in missing if cell.group == group]
    _check(own)
    variants = list(dict.fromkeys([*(run.variant for run in own), *(c.variant for c in lost)]))
    # The baseline first, the others in the order of the plan.
    variants.sort(key=lambda name: name != baseline)
    return {
        "recipe": group.recipe,
        "architecture": group.architecture,
        "encoder": group.encoder,
        "classes": list(own[0].classes) if own else [],
        "num_images": len(own[0].ids) if own else 0,
        "image_size": next(
            (run.facts["image_size"] for run in own if "image_size" in run.facts), None
        ),
        "rows": [_row(name, own, lost) for name in variants],
        "pairs": [_pair(name, own, baseline) for name in variants if name != baseline],
    }


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


def _row(variant: str, runs: Sequence[Measured], lost: Sequence[FailedCell]) -> dict[str, Any]:
    own = sorted((run for run in runs if run.variant == variant), key=lambda run: run.seed)
    scores: dict[str, Any] = {}
    if own:
        values = np.stack([run.scores for run in own])  # (S, V)
        for column, name in enumerate(own[0].score_names):
            found = values[:, column]
            scores[name] = {
                "mean": _value(found.mean()),
                "spread": _value(found.std(ddof=1)) if len(own) > 1 else None,
                "values": [_value(value) for value in found],
            }
    return {
        "variant": variant,
        "seeds": [run.seed for run in own],
        "runs": [{"name": run.name, "seed": run.seed, "path": str(run.path)} for run in own],
        "scores": scores,
        "cost": {name: _median(run.facts.get(name) for run in own) for name in COSTS},
        "missing": [
            {"name": cell.name, "seed": cell.seed, "state": cell.state, "cause": cell.cause}
            for cell in lost
            if cell.variant == variant
        ],
    }


def _pair(variant: str, runs: Sequence[Measured], baseline: str) -> dict[str, Any]:
    """Compare a variant with the baseline on the seeds that both have."""
    with_it = {run.seed: run for run in runs if run.variant == variant}
    without = {run.seed: run for run in runs if run.variant == baseline}
    seeds = sorted(with_it.keys() & without.keys())
    pair: dict[str, Any] = {"variant": variant, "baseline": baseline, "seeds": seeds, "scores": {}}
    if not seeds:
        return pair
    sides = [[side[seed] for seed in seeds] for side in (with_it, without)]
    scores = [np.stack([run.scores for run in side]) for side in sides]
    resampled = [np.stack([run.resampled for run in side]) for side in sides]
    found = paired_differences(
        scores[0], scores[1], resampled[0], resampled[1], len(sides[0][0].ids)
    )
    for column, name in enumerate(sides[0][0].score_names):
        pair["scores"][name] = {
            "difference": _value(found.difference[column]),
            "per_seed": [_value(value) for value in (scores[0] - scores[1])[:, column]],
            "interval": _ends(found, column),
            "standard_error": _value(found.standard_error[column]),
            "degrees": _value(found.degrees[column]),
            "seed_share": _value(found.seed_share[column]),
            "p_value": _value(found.p_value[column]),
            "sign_flip_p_value": _value(found.sign_flip_p_value[column]),
            "effect_size": _value(found.effect_size[column]),
        }
    pair["_found"] = found
    return pair


def _ends(found: PairedDifferences, column: int) -> list[float] | None:
    low, high = (_value(end) for end in found.interval[column])
    return None if low is None or high is None else [low, high]


def _adjust(pairs: Sequence[dict[str, Any]]) -> None:
    """Add what depends on the whole family: Holm's p-values, smallest gains, verdicts."""
    compared = [pair for pair in pairs if pair["seeds"]]
    names = dict.fromkeys(name for pair in compared for name in pair["scores"])
    for name in names:
        family = [pair["scores"][name] for pair in compared if name in pair["scores"]]
        p_values = [_number(score["p_value"]) for score in family]
        for score, adjusted in zip(family, holm(p_values), strict=True):
            score["holm_p_value"] = _value(adjusted)
    for pair in pairs:
        found = pair.pop("_found", None)
        if found is not None:
            smallest = found.detectable(len(compared))
            for score, value in zip(pair["scores"].values(), smallest, strict=True):
                score["detectable"] = _value(value)
        pair["verdict"], pair["sentence"] = _verdict(pair)


def _verdict(pair: dict[str, Any]) -> tuple[str, str]:
    """Say by `RULE` what a comparison shows: a word, and the sentence with its numbers."""
    if not pair["seeds"]:
        return "not compared", "no seed of both is done"
    score = pair["scores"][PRIMARY]
    if score["difference"] is None:
        return "not compared", f"{PRIMARY} does not exist for these runs"
    gain = f"{signed(score['difference'])} points"
    if score["interval"]:
        low, high = (signed(end) for end in score["interval"])
        gain += f" (95 % {low} to {high})"
    if len(pair["seeds"]) == 1:
        return "one seed", f"{gain} with one seed, the interval of the images alone"
    if not score["standard_error"] and not score["difference"]:
        return "no difference detected", "both give the same scores"
    adjusted = score["holm_p_value"]
    if adjusted is not None and adjusted < LEVEL:
        word = "helps" if score["difference"] > 0 else "hurts"
        return word, f"{gain}, Holm's p {p_value(adjusted)}"
    smallest = score["detectable"]
    larger = "" if smallest is None else f" larger than {100 * smallest:.2f} points"
    return "no difference detected", f"no difference{larger} detected: {gain}"


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _value(number: SupportsFloat) -> float | None:
    number = float(number)
    return number if math.isfinite(number) else None


def _median(values: Iterable[float | None]) -> float | None:
    given = sorted(value for value in values if value is not None)
    return float(np.median(given)) if given else None
