"""Verdicts over several looks: what is new at one, and what an earlier one decided."""

from __future__ import annotations

from collections.abc import Sequence

from segloom.comparison.cells.rounds import Decided, Look
from segloom.report.comparison_result import ComparedGroup, ComparisonResult

__all__ = ["keep_verdicts", "newly_decided"]

FINAL = ("helps", "hurts", "practically equal")


def newly_decided(
    result: ComparisonResult, look: Look, earlier: Sequence[Decided]
) -> list[Decided]:
    """List the comparisons that have a verdict since this look."""
    known = {(item.group, item.variant) for item in earlier}
    return [
        Decided(_key(group), pair.variant, pair.verdict, tuple(pair.seeds), look.number)
        for group in result.groups
        for pair in group.pairs
        if pair.verdict in FINAL and (_key(group), pair.variant) not in known
    ]


def keep_verdicts(result: ComparisonResult, decided: Sequence[Decided]) -> None:
    """Give comparisons the verdict of the look that decided them: it is not taken back."""
    verdicts = {(item.group, item.variant): item.verdict for item in decided}
    for group in result.groups:
        for pair in group.pairs:
            verdict = verdicts.get((_key(group), pair.variant))
            if verdict is not None:
                pair.verdict, pair.further_seeds = verdict, None
                pair.is_less_than_asked = pair.is_less_than_asked and verdict == "helps"


def _key(group: ComparedGroup) -> tuple[str, str, str]:
    return group.recipe, group.architecture, group.encoder
