"""From a comparison to ``comparison.html``, one file that needs nothing but itself.

Each function below takes a part of the result and returns plain values for ``comparison.html.j2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segloom.labels.pictures import FLIP_LEGEND
from segloom.report import comparison_words as words
from segloom.report.changed import ChangedPair, embed_changed
from segloom.report.comparison_plots import (
    Difference,
    Forest,
    Tradeoff,
    forest,
    tradeoff,
)
from segloom.report.comparison_result import (
    ComparedGroup,
    ComparedPair,
    ComparisonResult,
    ScoreDifference,
)
from segloom.report.html import render_page, write_page
from segloom.report.published import our_facts, published_beside, published_elsewhere
from segloom.report.sections import css_color

__all__ = ["render_comparison", "write_comparison"]

KINDS = {
    "helps": "helps",
    "hurts": "hurts",
    "practically equal": "equal",
    "undecided": "none",
    "no difference detected": "none",
    "one seed": "open",
    "not compared": "lost",
}
"""Verdict to CSS class."""


@dataclass(frozen=True)
class Cost:
    """A measure of what a network costs."""

    key: str
    title: str
    unit: str
    factor: float
    form: str


COSTS = (
    Cost("parameters", "Parameters", "million", 1e-6, "{:.2f}"),
    Cost("multiply_adds", "Multiply-adds", "billion per image", 1e-9, "{:.2f}"),
    Cost("latency_seconds", "Latency", "ms per image", 1e3, "{:.1f}"),
    Cost("train_seconds", "Training time", "minutes", 1 / 60, "{:.1f}"),
    Cost("train_memory_gib", "Peak memory of training", "GiB", 1.0, "{:.2f}"),
    Cost("test_seconds", "Test", "seconds", 1.0, "{:.1f}"),
)


@dataclass(frozen=True)
class Compared:
    """A pair with its group and its number on the page."""

    number: int
    group: ComparedGroup
    pair: ComparedPair
    name: str
    against: str
    sentence: str
    kind: str


def write_comparison(
    folder: Path, comparison: ComparisonResult, changes: Sequence[ChangedPair] | None = None
) -> Path:
    """Write ``comparison.html`` into a folder and return its path.

    Args:
        folder: Where it goes.
        comparison: The content of comparison.json.
        changes: The images that changed most, with their pictures; None shows no such section.
    """
    path = folder / "comparison.html"
    write_page(path, render_comparison(comparison, changes))
    return path


def render_comparison(
    comparison: ComparisonResult, changes: Sequence[ChangedPair] | None = None
) -> str:
    """Make the page; every text is escaped."""
    pairs = list(_pairs(comparison))
    return render_page(
        "comparison.html.j2",
        comparison=comparison,
        words=words,
        heading=_heading(comparison),
        general=[(item, KINDS[item.verdict]) for item in comparison.general],
        names=words.shown_scores(comparison),
        groups=[_group(group, pairs) for group in comparison.groups],
        costs=_known_costs(comparison),
        changes=None if changes is None else _changes(comparison, changes),
        flip_colors=[(name, css_color(color)) for name, color in FLIP_LEGEND],
        protocols=_protocols(comparison),
        elsewhere=_elsewhere(comparison),
        environment=_environment(comparison.conditions),
        **_pair_values(comparison, pairs),
        **_chart_values(comparison, pairs),
        **_published_values(comparison),
    )


def _pair_values(comparison: ComparisonResult, pairs: Sequence[Compared]) -> dict[str, Any]:
    """Say what is compared, and which pairs have a verdict."""
    return {
        "variants": list(dict.fromkeys(item.pair.variant for item in pairs)),
        "matrix": _matrix(pairs),
        "num_runs": sum(len(row.runs) for g in comparison.groups for row in g.rows),
        "pairs": [item for item in pairs if item.kind != "lost"],
        "lost": [item for item in pairs if item.kind == "lost"],
        "has_places": len({(g.encoder, g.recipe) for g in comparison.groups}) > 1,
        "has_verdicts": any(len(item.pair.seeds) > 1 for item in pairs),
        "has_one_seed": any(len(item.pair.seeds) == 1 for item in pairs),
    }


def _chart_values(comparison: ComparisonResult, pairs: Sequence[Compared]) -> dict[str, Any]:
    """Draw the differences of every score, and gains against costs."""
    names = words.shown_scores(comparison)
    charts = [_forest(name, pairs, comparison.primary) for name in names]
    tradeoffs = list(_tradeoffs(pairs))
    return {
        "forests": [chart for chart in charts if chart],
        "tradeoffs": tradeoffs,
        "drawn": {point.number for chart in tradeoffs for point in chart.points},
    }


def _published_values(comparison: ComparisonResult) -> dict[str, Any]:
    """Set published figures beside the groups that are like them."""
    parts = [_published(comparison, group) for group in comparison.groups]
    return {
        "published": [part for part in parts if part["figures"]],
        "unknown": [p["title"] for p in parts if not p["figures"] and not p["is_named"]],
    }


def _pairs(comparison: ComparisonResult) -> Iterator[Compared]:
    number = 0
    for group in comparison.groups:
        for pair in group.pairs:
            number += 1
            yield Compared(
                number=number,
                group=group,
                pair=pair,
                name=words.network(group, pair.variant),
                against=words.network(group, pair.baseline),
                sentence=words.sentence(comparison, group, pair),
                kind=KINDS.get(pair.verdict, "lost"),
            )


def _matrix(pairs: Sequence[Compared]) -> list[tuple[str, dict[str, Compared]]]:
    """Give a row per network with its pairs by variant."""
    rows: dict[str, dict[str, Compared]] = {}
    for item in pairs:
        rows.setdefault(words.title(item.group), {})[item.pair.variant] = item
    return list(rows.items())


def _heading(comparison: ComparisonResult) -> str:
    """Name what is compared: the variants, on how many networks."""
    variants = dict.fromkeys(pair.variant for g in comparison.groups for pair in g.pairs)
    names = list(variants)
    if len(names) > 4:
        names = [*names[:3], f"{len(names) - 3} more"]
    what = ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])
    return f"{what or 'Nothing'} against {comparison.baseline}"


def _group(group: ComparedGroup, pairs: Sequence[Compared]) -> dict[str, Any]:
    """Give a group's rows with their pairs, and its classes."""
    own = {item.pair.variant: item for item in pairs if item.group is group}
    scores = list(dict.fromkeys(name for row in group.rows for name in row.scores))
    return {
        "values": group,
        "title": words.title(group),
        "rows": [(row, own.get(row.variant)) for row in group.rows],
        "classes": [(c, f"IoU.{c}") for c in group.classes if f"IoU.{c}" in scores],
        "missing": _missing(group),
    }


def _missing(group: ComparedGroup) -> list[tuple[str, str, list[str]]]:
    """Give state, cause and names of the runs without scores, those of one cause together."""
    causes: dict[tuple[str, str], list[str]] = {}
    for row in group.rows:
        for cell in row.missing:
            causes.setdefault((cell.state, cell.cause), []).append(cell.name)
    return [(state, cause, names) for (state, cause), names in causes.items()]


def _forest(name: str, pairs: Sequence[Compared], primary: str) -> Forest | None:
    """Draw the differences of one score; only the primary one has verdicts."""
    found = [(item, item.pair.scores.get(name)) for item in pairs]
    return forest(
        words.score_words(name),
        [
            _difference(item, score, _kind(item, name == primary))
            for item, score in found
            if score is not None
        ],
    )


def _kind(item: Compared, is_primary: bool) -> str:
    return item.kind if is_primary or item.kind == "open" else "plain"


def _difference(item: Compared, score: ScoreDifference, kind: str) -> Difference:
    ends, value, smallest = score.interval, score.difference, score.detectable
    return Difference(
        group=words.title(item.group),
        label=item.pair.variant,
        kind=kind,
        text=words.gain(score) or "does not exist",
        value=None if value is None else 100 * value,
        interval=None if ends is None else (100 * ends[0], 100 * ends[1]),
        per_seed=tuple(100 * seed for seed in score.per_seed if seed is not None),
        # With one seed there is no verdict, so nothing is said about what would be found.
        detectable=None if smallest is None or len(score.per_seed) < 2 else 100 * smallest,
    )


def _tradeoffs(pairs: Sequence[Compared]) -> Iterator[Tradeoff]:
    """Draw the gain in mIoU against every cost but that of the test, which follows the latency."""
    for cost in COSTS[:-1]:
        points = []
        for item in pairs:
            score = item.pair.scores.get("mIoU")
            ratio = _ratio(item, cost.key)
            if score is not None and ratio is not None:
                points.append((item.number, ratio, _difference(item, score, item.kind)))
        chart = tradeoff(cost.title, points, x_title=f"{cost.title.lower()}, times the baseline's")
        if chart:
            yield chart


def _ratio(item: Compared, key: str) -> float | None:
    costs = {row.variant: row.cost.get(key) for row in item.group.rows}
    own, base = costs.get(item.pair.variant), costs.get(item.pair.baseline)
    return own / base if own is not None and base else None


def _known_costs(comparison: ComparisonResult) -> list[Cost]:
    rows = [row.cost for group in comparison.groups for row in group.rows]
    return [cost for cost in COSTS if any(row.get(cost.key) is not None for row in rows)]


def _changes(comparison: ComparisonResult, changes: Sequence[ChangedPair]) -> list[dict[str, Any]]:
    """Give the pictures pair by pair, the improved and the worsened images apart."""
    shown = []
    for pair, figures in embed_changed(changes):
        shown.append(
            {
                "title": words.network(pair, pair.variant),
                "against": words.network(pair, comparison.baseline),
                "place": words.title(pair),
                "pair": pair,
                "parts": [
                    ("Most improved", [item for item in figures if item.change > 0]),
                    ("Most worsened", [item for item in figures if item.change < 0]),
                ],
            }
        )
    return shown


def _protocols(comparison: ComparisonResult) -> list[dict[str, Any]]:
    """Say how each recipe trained and tested: pairs of a word and a phrase, and every option."""
    import yaml

    dump = partial(
        yaml.safe_dump, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    return [
        {
            "name": name,
            "facts": list(_facts(comparison, name, protocol)),
            "options": dump(protocol) if "train" in protocol else "",
        }
        for name, protocol in comparison.conditions.get("protocols", {}).items()
    ]


def _facts(
    comparison: ComparisonResult, name: str, protocol: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    groups = [group for group in comparison.groups if group.recipe == name]
    ours = [our_facts(protocol, group) for group in groups]
    data, loss, train = (protocol.get(part) or {} for part in ("data", "loss", "train"))
    yield "Data", str(data.get("name", name))
    images = next((group.num_images for group in groups if group.num_images), None)
    if ours:
        split = ours[0].get("split", "")
        yield "Measured on", f"{split} split" + (f", {images} images" if images else "")
    for word, key in (
        *(("Classes", "classes"), ("Image size", "image size"), ("Training crop", "crop")),
        *(("Encoder weights", "weights"), ("Batch", "batch"), ("Length", "training")),
        *(("Optimiser", "optimiser"), ("Inference", "inference"), ("Sampling", "sampling")),
    ):
        if ours and key in ours[0]:
            yield word, ours[0][key]
    if loss.get("terms"):
        terms = ", ".join(f"{term} {weight:g}" for term, weight in loss["terms"].items())
        yield "Loss", f"{terms}; class weights {loss.get('class_weights', 'none')}"
    if train.get("precision"):
        average = f", moving average {train['ema']}" if train.get("ema") else ""
        yield "Arithmetic", f"{train['precision']}{average}"


def _environment(conditions: dict[str, Any]) -> list[tuple[str, str]]:
    """Say what is common to all recipes: seeds, void, machine, versions."""
    versions = conditions.get("versions") or {}
    facts = [
        ("Seeds", ", ".join(str(seed) for seed in conditions.get("seeds") or ())),
        ("Void pixels", conditions.get("policy")),
        ("Processor", conditions.get("processor")),
        ("Accelerators", ", ".join(conditions.get("accelerators") or ()) or "none"),
        ("Plan", _plan_words(conditions)),
        ("Versions", ", ".join(f"{name} {value}" for name, value in versions.items() if value)),
    ]
    return [(word, str(phrase)) for word, phrase in facts if phrase]


def _plan_words(conditions: dict[str, Any]) -> str:
    """Say by what plan it was decided, and how often its test scores were looked at."""
    if not conditions.get("plan"):
        return ""
    looks = conditions.get("looks") or 1
    return (
        f"hash {conditions['plan']}, primary score mIoU; its test scores were looked at "
        f"{looks} time{'s' * (looks > 1)}"
    )


def _published(comparison: ComparisonResult, group: ComparedGroup) -> dict[str, Any]:
    protocol = comparison.conditions.get("protocols", {}).get(group.recipe, {})
    ours = [
        (words.network(group, row.variant), row.scores["mIoU"])
        for row in group.rows
        if row.scores.get("mIoU")
    ]
    return {
        "title": words.title(group),
        "is_named": group.encoder == words.NAMED,
        "ours": ours,
        "figures": published_beside(protocol, group),
    }


def _elsewhere(comparison: ComparisonResult) -> list[tuple[str, Any]]:
    """Find figures on the same data sets by architectures that are not compared here."""
    found = []
    for name, protocol in comparison.conditions.get("protocols", {}).items():
        own = [g.architecture for g in comparison.groups if g.recipe == name]
        found += [(name, figure) for figure in published_elsewhere(protocol, own)]
    return found
