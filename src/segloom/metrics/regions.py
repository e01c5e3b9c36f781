"""Scores of a region, one or more classes against all others, as medical challenges count them.

Per unit (an image, or a case of many slices) and over the whole data set, from TP, FP, FN and TN:

    Dice         2 TP / (2 TP + FP + FN)
    Jaccard      TP / (TP + FP + FN)
    sensitivity  TP / (TP + FN)
    specificity  TN / (TN + FP)
    accuracy     (TP + TN) / all

A quotient of 0 by 0 counts as 1, as in the scoring of ISIC 2018 (Codella et al., arXiv:1902.03368)
and for lesions in LiTS (Bilic et al., Medical Image Analysis 84, 2023): nothing there, nothing
found. Means over units are ISIC's ranking numbers and LiTS's "per case"; the whole data set is
LiTS's "global". The thresholded Jaccard of ISIC 2018 task 1 sets a unit's Jaccard below 0.65 to 0,
below which the outline was found to be a failure.

Axes: U units, ``...`` any leading axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segloom.metrics.scores import Numbers, ratio

__all__ = [
    "REGION_DEFINITION",
    "REGION_SCORES",
    "THRESHOLD_DEFINITION",
    "UNIT_SCORES",
    "count_region",
    "region_scores",
    "unit_scores",
]

REGION_SCORES = ("Dice", "Jaccard", "sensitivity", "specificity", "accuracy")
"""The scores of counts, in the order of the last axis of `region_scores`."""

UNIT_SCORES = (*REGION_SCORES, "thresholded Jaccard")
"""The scores of a unit, in the order of the last axis of `unit_scores`."""

MIN_JACCARD = 0.65  # ISIC 2018 task 1

REGION_DEFINITION = (
    "A region is one or more classes against all others. The mean gives every image or case the "
    "same weight; the whole adds their pixels up first. Where a quotient would be 0 by 0 (nothing "
    "there, nothing found) it counts as 1."
)
THRESHOLD_DEFINITION = (
    f" The thresholded Jaccard sets a Jaccard index below {MIN_JACCARD} to 0 before the mean (ISIC "
    "2018, task 1)."
)
"""Follows where a region has that score."""


def count_region(confusion: Numbers, classes: Sequence[int]) -> NDArray[np.int64]:
    """Merge confusion matrices ``(..., K, K)`` into TP, FP, FN, TN ``(..., 4)`` of a region.

    Args:
        confusion: Rows truth, columns prediction.
        classes: Ids of the region's classes.
    """
    counts = np.asarray(confusion, np.int64)
    inside = np.zeros(counts.shape[-1], np.int64)
    inside[list(classes)] = 1
    groups = np.stack([inside, 1 - inside])  # (2, K)
    merged = groups @ counts @ groups.T  # (..., 2, 2)
    found = [merged[..., 0, 0], merged[..., 1, 0], merged[..., 0, 1], merged[..., 1, 1]]
    return np.stack(found, axis=-1)


def region_scores(counts: Numbers) -> NDArray[np.float64]:
    """Score TP, FP, FN, TN ``(..., 4)``: `REGION_SCORES` ``(..., 5)``, each from 0 to 1."""
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts), -1, 0)
    quotients = [
        ratio(2 * tp, 2 * tp + fp + fn),
        ratio(tp, tp + fp + fn),
        ratio(tp, tp + fn),
        ratio(tn, tn + fp),
        ratio(tp + tn, tp + fp + fn + tn),
    ]
    scores: NDArray[np.float64] = np.nan_to_num(np.stack(quotients, axis=-1), nan=1.0)
    return scores


def unit_scores(counts: Numbers) -> NDArray[np.float64]:
    """Score every unit by itself: counts ``(U, 4)`` to `UNIT_SCORES` ``(U, 6)``."""
    scores = region_scores(counts)
    jaccard = scores[..., 1:2]
    return np.concatenate([scores, np.where(jaccard < MIN_JACCARD, 0.0, jaccard)], axis=-1)
