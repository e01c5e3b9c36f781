"""How good a prediction is: integers that add over images, and the scores that follow from them.

This room needs no torch; `segloom.training.streaming` counts tensors with it.
"""

from segloom.metrics.boundary import BoundaryScores, boundary_scores, count_boundary
from segloom.metrics.confusion import count_confusion
from segloom.metrics.multilabel import MULTILABEL_POLICY, count_tables, multilabel_scores
from segloom.metrics.regions import count_region, region_scores, unit_scores
from segloom.metrics.resampling import Resampling, plan_resampling
from segloom.metrics.scores import POLICY, Scores, class_totals, scores
from segloom.metrics.size_buckets import SizeScores, count_sizes, size_scores
from segloom.metrics.statistics import bootstrap_interval, bootstrap_values

__all__ = [
    "MULTILABEL_POLICY",
    "POLICY",
    "BoundaryScores",
    "Resampling",
    "Scores",
    "SizeScores",
    "bootstrap_interval",
    "bootstrap_values",
    "boundary_scores",
    "class_totals",
    "count_boundary",
    "count_confusion",
    "count_region",
    "count_sizes",
    "count_tables",
    "multilabel_scores",
    "plan_resampling",
    "region_scores",
    "scores",
    "size_scores",
    "unit_scores",
]
