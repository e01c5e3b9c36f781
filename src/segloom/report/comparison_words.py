"""How the scores, gains and verdicts of a comparison are worded, in tables and on the page alike.

Everything here takes parts of a `ComparisonResult`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from segloom.report.comparison_result import (
    ComparedGroup,
    ComparedPair,
    ComparisonResult,
    GeneralGain,
    Placed,
    ScoreDifference,
    ScoreSummary,
)

__all__ = [
    "NAMED",
    "convergence",
    "correlation",
    "further",
    "gain",
    "general_sentence",
    "image_notes",
    "lead",
    "mean_and_spread",
    "millions",
    "network",
    "p_value",
    "plain_verdict",
    "score_words",
    "sentence",
    "shown_scores",
    "signed",
    "title",
    "tuning_note",
    "verdict",
    "verdict_counts",
]

SHOWN = ("mIoU", "IoU.size ", "bIoU@", "bF@")
"""Beginnings of the scores that the tables show: of sizes the smallest, of boundaries the first."""

BOUNDARIES = {"bIoU": "boundary IoU", "bF": "boundary F"}

UNDECIDED = ("undecided", "no difference detected")
"""The second is what earlier versions wrote."""

PLAIN, NAMED = "none", "as named"
"""The variant without enhancements; the encoder where the user named the kinds of runs."""


def shown_scores(comparison: ComparisonResult) -> list[str]:
    """Choose the scores of the tables: mIoU, the smallest objects, the narrowest boundary."""
    rows = (row.scores for group in comparison.groups for row in group.rows if row.scores)
    names = list(next(rows, {}))
    found = (next((name for name in names if name.startswith(start)), None) for start in SHOWN)
    return [name for name in found if name]


def score_words(name: str) -> str:
    """Describe what a score is: ``IoU.size < 256 px`` is the IoU of objects < 256 px."""
    kind, _, tolerance = name.partition("@")
    if kind in BOUNDARIES:
        return f"{BOUNDARIES[kind]} ({100 * float(tolerance):g} %)"
    for score in ("IoU", "recall"):
        if name.startswith(f"{score}.size "):
            return f"{score} of objects {name.removeprefix(f'{score}.size ')}"
    return name.replace(".", " of ", 1)


def title(group: Placed) -> str:
    """Name a group."""
    if group.encoder == NAMED:
        return str(group.recipe)
    return f"{group.architecture}, {group.encoder}, {group.recipe}"


def network(group: Placed, variant: str) -> str:
    """Name a network of a group: unet + afma."""
    if group.encoder == NAMED:
        return variant
    return group.architecture if variant == PLAIN else f"{group.architecture} + {variant}"


def millions(number: float | None) -> str:
    """Return parameters in millions."""
    return "" if number is None else f"{number / 1e6:.2f} M"


def mean_and_spread(score: ScoreSummary | None, sign: str = "±") -> str:
    """Give a mean in per cent, with the standard deviation over the seeds if there are several."""
    if score is None or score.mean is None:
        return ""
    spread = "" if score.spread is None else f" {sign} {100 * score.spread:.1f}"
    return f"{100 * score.mean:.1f}{spread}"


def gain(score: ScoreDifference | GeneralGain) -> str:
    """Return a difference and its interval in points."""
    if score.difference is None:
        return ""
    ends = score.interval
    interval = "" if ends is None else f" ({signed(ends[0], 1)} to {signed(ends[1], 1)})"
    return f"{signed(score.difference, 1)}{interval}"


def signed(value: float, digits: int = 2) -> str:
    """Return a share in points with its sign; what rounds to nothing has none."""
    text = f"{100 * value:+.{digits}f}"
    return text if float(text) else text[1:]


def correlation(value: float) -> str:
    """Return a correlation with its sign."""
    return f"{value:+.2f}" if round(value, 2) else "0.00"


def p_value(value: float | None) -> str:
    """Return a p-value with two digits."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def verdict(pair: ComparedPair) -> str:
    """Return the verdict in a few words."""
    text = pair.verdict
    if text in UNDECIDED:
        more = pair.further_seeds
        text = f"undecided, {more} more seed{'s' * (more > 1)}" if more else "undecided"
    elif pair.is_less_than_asked:
        text = f"{text}, less than asked"
    return f"{text} (baseline not converged)" if pair.has_converged is False else text


def convergence(group: ComparedGroup) -> str:
    """Return whether the baseline of a group has converged; empty where that is not known."""
    if group.late_gain is None or not group.pairs:
        return ""
    has_converged = group.pairs[0].has_converged
    points = f"{signed(group.late_gain, 1)} points"
    course = f"its best validation mIoU rose by {points} in the last quarter of its training"
    name = group.pairs[0].baseline
    if has_converged:
        return f"The baseline ({name}) has converged: {course}."
    return (
        f"The baseline ({name}) has not converged: {course}, so these verdicts may change with a "
        "longer one."
    )


COUNTED = {
    "helps": ("helps", "help"),
    "hurts": ("hurts", "hurt"),
    "practically equal": ("is practically equal", "are practically equal"),
    "undecided": ("is undecided", "are undecided"),
    "one seed": ("has one seed and no verdict", "have one seed and no verdict"),
}
"""Verdict to the words for one comparison and for several."""


FOUND = {
    "helps": ("{} helps", "{} help"),
    "hurts": ("{} hurts", "{} hurt"),
    "practically equal": ("{} makes no practical difference", "{} make no practical difference"),
    "undecided": ("whether {} helps is undecided", "whether {} help is undecided"),
    "one seed": ("{} has one seed and no verdict", "{} have one seed and no verdict"),
}
"""Verdict to what it says of one variant and of several."""
MOST_NAMED = 3
"""Variants of one verdict that the first sentence names."""


def lead(comparison: ComparisonResult) -> str:
    """Describe in one plain sentence what came out; empty where nothing is compared.

    Over several networks it is the general gain of every variant.
    """
    groups = [group for group in comparison.groups if _compared([group])]
    found: list[Found]
    if comparison.general:
        counts = sorted({item.num_networks for item in comparison.general})
        where = f"On average over {' to '.join(map(str, counts[:: len(counts) - 1 or 1]))} networks"
        found = [(item.verdict, item.variant, item) for item in comparison.general]
    elif len(groups) == 1:
        where = f"On {title(groups[0])}"
        found = [
            (plain_verdict(pair), pair.variant, pair.scores[comparison.primary])
            for pair in _compared(groups)
            if comparison.primary in pair.scores
        ]
    else:
        return verdict_counts(comparison) + _late_words(comparison)
    *first, last = _verdict_parts(found)
    text = ", and ".join([", ".join(first), last]) if first else last
    return f"{where}, {text}.{_late_words(comparison)}"


Found: TypeAlias = tuple[str, str, ScoreDifference | GeneralGain]
"""Verdict, variant and gain."""


def _verdict_parts(found: Sequence[Found]) -> Iterator[str]:
    """Say for every verdict which variants have it, and their gains; the first tells the unit."""
    unit = " points of mIoU, 95 %"
    for kind, phrases in FOUND.items():
        items = [(name, score) for verdict, name, score in found if verdict == kind]
        named = []
        for name, score in items[:MOST_NAMED]:
            named.append(f"{name} ({_short(score, unit)})")
            unit = ","
        named += [f"{len(items) - MOST_NAMED} more"] * (len(items) > MOST_NAMED)
        if named:
            yield phrases[len(items) > 1].format(_listed(named))


def _short(score: ScoreDifference | GeneralGain, unit: str) -> str:
    if score.difference is None:
        return "no difference exists"
    text = f"{signed(score.difference, 1)}{unit.partition(',')[0]}"
    if score.interval is None:
        return text
    low, high = (signed(end, 1) for end in score.interval)
    return f"{text},{unit.partition(',')[2]} {low} to {high}"


def verdict_counts(comparison: ComparisonResult) -> str:
    """Count the verdicts in one sentence; empty where nothing is compared."""
    pairs = _compared(comparison.groups)
    if not pairs:
        return ""
    names = [plain_verdict(pair) for pair in pairs]
    counts = {name: names.count(name) for name in COUNTED if name in names}
    known = [f"{n} {COUNTED[name][n > 1]}" for name, n in counts.items()]
    text = f"Of {len(pairs)} single comparisons, {_listed(known)}"
    if len(pairs) == 1:
        text = f"The one comparison {COUNTED[names[0]][0]}" if names[0] in COUNTED else names[0]
    return f"{text}."


def _compared(groups: Sequence[ComparedGroup]) -> list[ComparedPair]:
    return [pair for group in groups for pair in group.pairs if pair.seeds]


def plain_verdict(pair: ComparedPair) -> str:
    """Return the verdict alone."""
    return "undecided" if pair.verdict in UNDECIDED else pair.verdict


def _late_words(comparison: ComparisonResult) -> str:
    """Describe in a further sentence how many baselines have not converged."""
    late = [group for group in comparison.groups if any(_is_late(pair) for pair in group.pairs)]
    if not late:
        return ""
    number = len(comparison.groups)
    if number == 1:
        return " The baseline has not converged."
    return f" {len(late)} of {number} baselines {'have' if len(late) > 1 else 'has'} not converged."


def further(pair: ComparedPair) -> str:
    """Describe what a verdict leaves open, in a few words; empty where it leaves nothing."""
    more = pair.further_seeds
    notes = [
        f"{more} more seed{'s' * (more != 1)}" if more else "",
        "less than asked" if pair.is_less_than_asked else "",
        "baseline not converged" if pair.has_converged is False else "",
    ]
    return "; ".join(note for note in notes if note)


def _is_late(pair: ComparedPair) -> bool:
    return pair.has_converged is False


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def tuning_note(comparison: ComparisonResult) -> str:
    """Say which variants had a longer search for options than the baseline; empty if none had."""
    trials = comparison.conditions.get("tuning") or {}
    own = trials.get(comparison.baseline, 0)
    more = [f"{name} {count}" for name, count in trials.items() if count > own]
    if not more:
        return ""
    return (
        f"Before this comparison the baseline had {own} runs of a search for options, "
        f"{_listed(more)}: part of a gain may come from that."
    )


def image_notes(group: ComparedGroup) -> list[str]:
    """Describe what the intervals draw and which images were trained on, if images have groups."""
    drawn = group.resampling
    if drawn is None or not drawn.groups:
        return []
    return [drawn.rule, *([drawn.trained_groups] if drawn.trained_groups else [])]


def sentence(comparison: ComparisonResult, group: ComparedGroup, pair: ComparedPair) -> str:
    """Return the verdict of a pair with its numbers, as the end of a sentence on the network."""
    text = _finding(comparison, group, pair)
    return f"{text}; the baseline has not converged" if pair.has_converged is False else text


def _finding(comparison: ComparisonResult, group: ComparedGroup, pair: ComparedPair) -> str:
    if not pair.seeds:
        return f"{pair.verdict}: no seed of both is done"
    score = pair.scores[comparison.primary]
    if score.difference is None:
        return f"{pair.verdict}: {comparison.primary} does not exist for these runs"
    count = len(pair.seeds)
    images = f"{group.num_images} image{'s' * (group.num_images > 1)}"
    numbers = _numbers(score)
    if count == 1:
        return f"no verdict: {numbers} with one seed, the interval of the images alone, {images}"
    size = f"{count} seeds, {images}"
    if not score.standard_error and not score.difference:
        return f"{pair.verdict}: both give the same scores, {size}"
    if pair.verdict in UNDECIDED:
        return f"undecided: {numbers}{_further(comparison, pair)}, {size}"
    less = ", less than asked" * pair.is_less_than_asked
    if pair.verdict == "practically equal":
        tested = f"two one-sided tests, Holm's p {p_value(score.equal_p_value)}"
        return f"practically equal: {numbers}, {tested}, {size}"
    return f"{pair.verdict}{less}: {numbers}, Holm's p {p_value(score.holm_p_value)}, {size}"


def _numbers(score: ScoreDifference | GeneralGain) -> str:
    """Return a difference with its interval in points."""
    if score.difference is None:
        return ""
    text = f"{signed(score.difference)} points"
    if score.interval:
        text += f" (95 % {signed(score.interval[0])} to {signed(score.interval[1])})"
    return text


def _further(comparison: ComparisonResult, pair: ComparedPair) -> str:
    """Describe what would decide an undecided pair."""
    if comparison.smallest_gain is None:  # written before a smallest gain was named
        return ""
    points = f"{100 * comparison.smallest_gain:g}"
    asked = f"a gain of {points} point{'s' * (points != '1')}"
    if pair.further_seeds is None:
        return f"; to find {asked}, more seeds alone are not enough"
    if pair.further_seeds == 0:
        return f"; {asked} would probably have been found"
    return f"; about {pair.further_seeds} more seed{'s' * (pair.further_seeds > 1)} to find {asked}"


def general_sentence(item: GeneralGain) -> str:
    """Describe what a variant is worth over all networks of the comparison."""
    text = f"{item.variant} on {item.num_networks} networks: {item.verdict}, {_numbers(item)}"
    if item.prediction is None:
        return f"{text}; with {item.num_networks} networks nothing can be said about another one."
    low, high = (signed(end, 1) for end in item.prediction)
    return f"{text}; on another network between {low} and {high}."
