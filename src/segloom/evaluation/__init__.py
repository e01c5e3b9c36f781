"""Measuring a trained network on a split.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segloom.lazy import lazy_names

if TYPE_CHECKING:
    from segloom.evaluation.run import Evaluation, Progress, evaluate, measured_split

__all__ = ["Evaluation", "Progress", "evaluate", "measured_split"]

_HOMES = {
    "Evaluation": "segloom.evaluation.run",
    "Progress": "segloom.evaluation.run",
    "evaluate": "segloom.evaluation.run",
    "measured_split": "segloom.evaluation.run",
}

__getattr__ = lazy_names(__name__, _HOMES)
