"""Measuring a trained network on a split."""

from segloom.evaluation.run import Evaluation, Progress, evaluate

__all__ = ["Evaluation", "Progress", "evaluate"]
