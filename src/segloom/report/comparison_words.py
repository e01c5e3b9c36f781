"""How the scores, gains and verdicts of a comparison are worded, in tables and on the page alike.

Everything here takes parts of the dict of comparison.json.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "NAMED",
    "gain",
    "mean_and_spread",
    "millions",
    "network",
    "p_value",
    "score_words",
    "sentence",
    "shown_scores",
    "signed",
    "title",
    "verdict",
]

SHOWN = ("mIoU", "IoU.size ", "bIoU@", "bF@")
"""Beginnings of the scores that the tables show: of sizes the smallest, of boundaries the first."""

BOUNDARIES = {"bIoU": "boundary IoU", "bF": "boundary F"}

PLAIN, NAMED = "none", "as named"
"""The variant without enhancements; the encoder where the user named the kinds of runs."""


def shown_scores(comparison: dict[str, Any]) -> list[str]:
    """Choose the scores of the tables: mIoU, the smallest objects, the narrowest boundary."""
    rows = (row for group in comparison["groups"] for row in group["rows"] if row["scores"])
    names = list(next(rows, {"scores": {}})["scores"])
    found = (next((name for name in names if name.startswith(start)), None) for start in SHOWN)
    return [name for name in found if name]


def score_words(name: str) -> str:
    """Say what a score is: ``IoU.size < 256 px`` is the IoU of objects < 256 px."""
    kind, _, tolerance = name.partition("@")
    if kind in BOUNDARIES:
        return f"{BOUNDARIES[kind]} ({100 * float(tolerance):g} %)"
    for score in ("IoU", "recall"):
        if name.startswith(f"{score}.size "):
            return f"{score} of objects {name.removeprefix(f'{score}.size ')}"
    return name.replace(".", " of ", 1)


def title(group: dict[str, Any]) -> str:
    """Name a group."""
    if group["encoder"] == NAMED:
        return str(group["recipe"])
    return f"{group['architecture']}, {group['encoder']}, {group['recipe']}"


def network(group: dict[str, Any], variant: str) -> str:
    """Name a network of a group: unet + afma."""
    if group["encoder"] == NAMED:
        return variant
    return group["architecture"] if variant == PLAIN else f"{group['architecture']} + {variant}"


def millions(number: float | None) -> str:
    """Give parameters in millions."""
    return "" if number is None else f"{number / 1e6:.2f} M"


def mean_and_spread(score: dict[str, Any] | None, sign: str = "±") -> str:
    """Give a mean in per cent, with the standard deviation over the seeds if there are several."""
    if score is None or score["mean"] is None:
        return ""
    spread = "" if score["spread"] is None else f" {sign} {100 * score['spread']:.1f}"
    return f"{100 * score['mean']:.1f}{spread}"


def gain(score: dict[str, Any]) -> str:
    """Give a difference and its interval in points."""
    if score["difference"] is None:
        return ""
    ends = score["interval"]
    interval = "" if ends is None else f" ({signed(ends[0], 1)} to {signed(ends[1], 1)})"
    return f"{signed(score['difference'], 1)}{interval}"


def signed(value: float, digits: int = 2) -> str:
    """Give a share in points with its sign; what rounds to nothing has none."""
    text = f"{100 * value:+.{digits}f}"
    return text if float(text) else text[1:]


def p_value(value: float | None) -> str:
    """Give a p-value with two digits."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def verdict(pair: dict[str, Any]) -> str:
    """Give the verdict as the rule words it."""
    if pair["verdict"] != "no difference detected":
        return str(pair["verdict"])
    smallest = pair["scores"]["mIoU"]["detectable"]
    return (
        "no difference detected"
        if smallest is None
        else f"no difference larger than {100 * smallest:.1f} detected"
    )


def sentence(group: dict[str, Any], pair: dict[str, Any]) -> str:
    """Give the verdict of a pair with its numbers, as the end of a sentence on the network."""
    if pair["verdict"] == "no difference detected":
        words = pair["sentence"]  # it says so itself
    elif pair["verdict"] == "one seed":
        words = f"no verdict: {pair['sentence']}"
    else:
        words = f"{pair['verdict']}: {pair['sentence']}"
    seeds, images = len(pair["seeds"]), group["num_images"]
    if seeds < 2:
        return f"{words}, {images} image{'s' * (images > 1)}" if seeds else str(words)
    return f"{words}, {seeds} seeds, {images} image{'s' * (images > 1)}"
