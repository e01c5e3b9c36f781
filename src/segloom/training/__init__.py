"""Training: from a configuration to a run directory with the best and the last network.

Importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segloom.training.fit import RunResult, TrainingStopped, train
    from segloom.training.group import is_first_process
    from segloom.training.step import TrainingStep

__all__ = ["RunResult", "TrainingStep", "TrainingStopped", "is_first_process", "train"]

_HOMES = {
    "RunResult": "segloom.training.fit",
    "TrainingStep": "segloom.training.step",
    "TrainingStopped": "segloom.training.fit",
    "is_first_process": "segloom.training.group",
    "train": "segloom.training.fit",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
