"""Images that depend on one another: how a split is drawn again, and what its groups score.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import SupportsFloat, TypedDict

import numpy as np
from numpy.typing import NDArray

from segloom.evaluation.image_counts import ImageCounts
from segloom.metrics.resampling import Resampling, plan_resampling

__all__ = [
    "describe_groups",
    "group_scores",
    "image_influence",
    "resampling_of",
    "resampling_words",
    "trained_groups",
]


class GroupScores(TypedDict):
    """Scores of a group by itself, 0 to 1."""

    name: str
    num_images: int
    mIoU: float | None
    aAcc: float | None


def image_influence(images: Sequence[ImageCounts]) -> NDArray[np.float64]:
    """Return what each image does to mIoU: the score with it less the score without, ``(N,)``."""
    measures = images[0].measures
    counts = measures.compact(np.stack([image.confusion for image in images]))
    total = counts.sum(0)
    whole = measures.compact_scores(total[None]).mIoU
    found: NDArray[np.float64] = np.nan_to_num(whole - measures.compact_scores(total - counts).mIoU)
    return found


def resampling_of(images: Sequence[ImageCounts]) -> Resampling:
    """Choose what is drawn again for the intervals of one evaluation."""
    if not any(image.place.group for image in images):
        return Resampling.of_images(len(images))
    return plan_resampling([image.place for image in images], image_influence(images))


def group_scores(images: Sequence[ImageCounts]) -> list[GroupScores]:
    """Score every group by itself."""
    members: dict[str, list[ImageCounts]] = {}
    for image in images:
        if image.place.group:
            members.setdefault(image.place.group, []).append(image)
    rows = []
    for name, own in members.items():
        found = own[0].measures.scores(np.sum([image.confusion for image in own], axis=0))
        rows.append(
            GroupScores(
                name=name,
                num_images=len(own),
                mIoU=_number(found.mIoU),
                aAcc=_number(found.aAcc),
            )
        )
    return rows


def _number(value: SupportsFloat) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number


def describe_groups(images: Sequence[ImageCounts]) -> dict[str, object] | None:
    """Say what was drawn again and what the groups score, for metrics.json; None without groups."""
    rows = group_scores(images)
    if not rows:
        return None
    resampling = resampling_of(images)
    return {
        "unit": resampling.unit,
        "degrees": resampling.degrees,
        "blocks": {
            stratum.name: stratum.block
            for stratum in resampling.strata
            if resampling.unit == "block" and stratum.name
        },
        "rule": resampling_words(resampling),
        "groups": rows,
    }


def resampling_words(resampling: Resampling) -> str:
    """Describe in a sentence what the intervals draw, and for what they hold."""
    number = len(resampling.groups)
    if resampling.unit == "group":
        return (
            f"Intervals draw whole groups of images ({number} groups), since the images of a group "
            "are alike."
        )
    if resampling.unit == "block":
        lengths = sorted({stratum.block for stratum in resampling.strata if stratum.name})
        length = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        names = ", ".join(resampling.groups)
        return (
            f"Intervals draw blocks of {length} neighbouring images inside {number} "
            f"group{'s' * (number > 1)} ({names}), since neighbours are alike; they hold for "
            f"{'these groups' if number > 1 else 'this group'}, not for others."
        )
    if resampling.groups:
        return (
            "Intervals draw image by image, although all come from one group: they hold only if "
            "its images are independent."
        )
    return "Intervals draw image by image."


def trained_groups(
    images: Sequence[ImageCounts], trained: Collection[str]
) -> dict[str, object] | None:
    """Describe how much of a split comes from groups that were trained on; None if nothing does.

    Args:
        images: Counts of the split.
        trained: Names of the groups of the training split.

    Returns:
        ``groups``, ``num_images`` of theirs, ``mIoU_without`` of the other images, None where
        there are none, and the same as ``words``.
    """
    seen = [image for image in images if image.place.group and image.place.group in trained]
    if not seen:
        return None
    others = [image for image in images if image.place.group not in trained]
    found = None
    if others:
        measures = others[0].measures
        found = _number(measures.scores(np.sum([i.confusion for i in others], axis=0)).mIoU)
    names = list(dict.fromkeys(image.place.group for image in seen))
    words = (
        f"{100 * len(seen) / len(images):.0f} % of these images ({len(seen)} of {len(images)}; "
        f"{', '.join(names[:5])}{', ...' * (len(names) > 5)}) come from groups that were trained on"
    )
    words += "." if found is None else f"; without them mIoU is {100 * found:.1f} %."
    return {"groups": names, "num_images": len(seen), "mIoU_without": found, "words": words}
