"""What smeared label maps mean: those of lossy files, or resized with interpolation.

Their true values are those inside areas (`segloom.labels.smear`). Where these are few and far
apart the options read every pixel by the nearest; else nothing can be said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise

from segloom.data_check.contents import Contents
from segloom.labels.smear import MIN_GAP, find_peaks

__all__ = ["describe_smear", "has_third_value", "true_colors", "true_values"]

MIN_SHARE = 0.6
"""Of all pixels; where fewer are flat, the files are pictures or too small to tell."""
RARE = 0.0002
"""Share of flat pixels below which a value is noise."""
DARK, BRIGHT = 40, 215
"""What compression makes of black and white lies beyond."""
MAX_BETWEEN = 0.002
"""Share of flat pixels between dark and bright that outlines may leave."""
COLOR_SPREAD = 20
"""Levels of a channel by which lossy compression changes a colour inside an area."""
MIN_COLOR_GAP = 48
MAX_TRUE_COLORS = 32


def true_values(contents: Contents) -> list[int] | None:
    """Find the grey values that were drawn before they were smeared; None if they are not clear."""
    pixels = sum(count.pixels for count in contents.values.values())
    flat = sum(contents.flat.values())
    if flat < MIN_SHARE * pixels:
        return None
    if contents.num_lossy:
        return find_peaks(contents.flat)
    values = sorted(value for value, number in contents.flat.items() if number >= RARE * flat)
    gaps = [high - low for low, high in pairwise(values)]
    return values if gaps and min(gaps) >= MIN_GAP else None


def has_third_value(contents: Contents, drawn: Sequence[int] | None) -> bool:
    """Return whether lossy grey files hold areas of a value between dark and bright.

    A small class has such areas, however many pixels are black or white; outlines have none.

    Args:
        contents: What the files hold.
        drawn: `true_values` of them.
    """
    if any(DARK < value < BRIGHT for value in drawn or ()):
        return True
    between = sum(number for value, number in contents.flat.items() if DARK < value < BRIGHT)
    return between > MAX_BETWEEN * sum(contents.flat.values())


def true_colors(contents: Contents) -> list[int] | None:
    """Find the colours that were drawn before they were smeared; None if they are not clear."""
    pixels = sum(count.pixels for count in (*contents.colors.values(), *contents.values.values()))
    if contents.has_many_values and not contents.flat:
        return None
    spread, least_gap = (COLOR_SPREAD, MIN_COLOR_GAP) if contents.num_lossy else (0, MIN_GAP)
    peaks, covered = _color_peaks(_flat_colors(contents), spread)
    gaps = [_gap(one, other) for one, other in combinations(peaks, 2)]
    is_clear = len(peaks) <= MAX_TRUE_COLORS and gaps and min(gaps) >= least_gap
    return peaks if is_clear and covered >= MIN_SHARE * pixels else None


def _flat_colors(contents: Contents) -> Counter[int]:
    """Count flat pixels by colour; grey values are colours of three equal channels."""
    flat: Counter[int] = Counter()
    for code, number in contents.flat.items():
        flat[code if code in contents.colors or code > 255 else code * 0x010101] += number
    return flat


def _color_peaks(flat: Counter[int], spread: int) -> tuple[list[int], int]:
    """Find the colours around which the others lie, and count the pixels near them.

    The search ends where there are too many.
    """
    total = sum(flat.values())
    peaks: list[int] = []
    covered = 0
    for code, number in flat.most_common(20_000):
        is_near = any(_gap(code, peak) <= spread for peak in peaks)
        if not is_near and number >= RARE * total:
            peaks.append(code)
            if len(peaks) > MAX_TRUE_COLORS:
                break
        if is_near or number >= RARE * total:
            covered += number
    return peaks, covered


def _gap(one: int, other: int) -> int:
    """Largest difference of a channel."""
    return max(abs((one >> bits & 255) - (other >> bits & 255)) for bits in (16, 8, 0))


def describe_smear(contents: Contents, values: Sequence[object]) -> str:
    """Say that the files were smeared and are read by the nearest value."""
    why = f"{contents.num_smeared} label maps were resized with interpolation"
    if contents.num_lossy:
        why = f"{contents.num_lossy} label maps are JPEG or other lossy files"
    return (
        f"{why}, which mixed values at outlines; every pixel is read as the nearest of the values "
        f"of areas ({', '.join(map(str, values))}), so outlines are a little rough. Export label "
        "maps as PNG, and resize them with nearest neighbour."
    )
