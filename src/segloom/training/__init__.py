"""Training: from a configuration to a run directory with the best and the last network.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segloom.lazy import lazy_names

if TYPE_CHECKING:
    from segloom.training.distributed.group import is_first_process
    from segloom.training.fit import RunResult, TrainingStopped, train
    from segloom.training.step import TrainingStep

__all__ = ["RunResult", "TrainingStep", "TrainingStopped", "is_first_process", "train"]

_HOMES = {
    "RunResult": "segloom.training.fit",
    "TrainingStep": "segloom.training.step",
    "TrainingStopped": "segloom.training.fit",
    "is_first_process": "segloom.training.distributed.group",
    "train": "segloom.training.fit",
}

__getattr__ = lazy_names(__name__, _HOMES)
