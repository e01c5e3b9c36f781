"""How good a prediction is: integers that add over images, and the scores that follow from them."""

from segloom.metrics.confusion import ConfusionMatrix, count_confusion
from segloom.metrics.scores import POLICY, Scores, class_totals, scores

__all__ = ["POLICY", "ConfusionMatrix", "Scores", "class_totals", "count_confusion", "scores"]
