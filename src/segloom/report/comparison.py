"""From a comparison to ``comparison.html``, one file that needs nothing but itself.

Each function below takes a part of the result and returns plain values for ``comparison.html.j2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segloom.labels.pictures import FLIP_LEGEND
from segloom.report import comparison_words as words
from segloom.report.changed import ChangedPair, embed_changed
from segloom.report.comparison_charts import (
    Compared,
    cost_rows,
    course_charts,
    forests,
    known_costs,
)
from segloom.report.comparison_protocol import environment, protocols
from segloom.report.comparison_result import ComparedGroup, ComparisonResult
from segloom.report.html import render_page, write_page
from segloom.report.published import Published, published_beside, published_elsewhere
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
        forests=forests(comparison, pairs),
        courses=course_charts(comparison),
        costs=known_costs(comparison),
        cost_rows=cost_rows(comparison, pairs),
        changes=None if changes is None else _changes(comparison, changes),
        flip_colors=[(name, css_color(color)) for name, color in FLIP_LEGEND],
        protocols=protocols(comparison),
        elsewhere=_elsewhere(comparison),
        environment=environment(comparison.conditions),
        **_pair_values(comparison, pairs),
        **_published_values(comparison),
    )


def _pair_values(comparison: ComparisonResult, pairs: Sequence[Compared]) -> dict[str, object]:
    """Describe what is compared, and which pairs have a verdict."""
    seeds = [len(item.pair.seeds) for item in pairs]
    return {
        "variants": list(dict.fromkeys(item.pair.variant for item in pairs)),
        "matrix": _matrix(pairs),
        "num_runs": sum(len(row.runs) for g in comparison.groups for row in g.rows),
        "pairs": [item for item in pairs if item.kind != "lost"],
        "lost": [item for item in pairs if item.kind == "lost"],
        "has_places": len({(g.encoder, g.recipe) for g in comparison.groups}) > 1,
        "has_verdicts": max(seeds, default=0) > 1,
        "has_one_seed": 1 in seeds,
    }


def _published_values(comparison: ComparisonResult) -> dict[str, object]:
    """Set published figures beside the groups that are like them."""
    parts = [_published(comparison, group) for group in comparison.groups]
    return {
        "published": [part for part in parts if part["figures"]],
        "unknown": [p["title"] for p in parts if not p["figures"] and not p["is_named"]],
    }


def _pairs(comparison: ComparisonResult) -> Iterator[Compared]:
    for group in comparison.groups:
        for pair in group.pairs:
            yield Compared(
                group=group,
                pair=pair,
                name=words.network(group, pair.variant),
                against=words.network(group, pair.baseline),
                sentence=words.sentence(comparison, group, pair),
                kind=KINDS.get(pair.verdict, "lost"),
            )


def _matrix(pairs: Sequence[Compared]) -> list[tuple[str, dict[str, Compared]]]:
    """Return a row per network with its pairs by variant."""
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


def _group(group: ComparedGroup, pairs: Sequence[Compared]) -> dict[str, object]:
    """Return a group's rows with their pairs, and its classes."""
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
    """Return state, cause and names of the runs without scores, those of one cause together."""
    causes: dict[tuple[str, str], list[str]] = {}
    for row in group.rows:
        for cell in row.missing:
            causes.setdefault((cell.state, cell.cause), []).append(cell.name)
    return [(state, cause, names) for (state, cause), names in causes.items()]


def _changes(
    comparison: ComparisonResult, changes: Sequence[ChangedPair]
) -> list[dict[str, object]]:
    """Return the pictures pair by pair, the improved and the worsened images apart."""
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


def _published(comparison: ComparisonResult, group: ComparedGroup) -> dict[str, object]:
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


def _elsewhere(comparison: ComparisonResult) -> list[tuple[str, Published]]:
    """Find figures on the same data sets by architectures that are not compared here."""
    found = []
    for name, protocol in comparison.conditions.get("protocols", {}).items():
        own = [g.architecture for g in comparison.groups if g.recipe == name]
        found += [(name, figure) for figure in published_elsewhere(protocol, own)]
    return found
