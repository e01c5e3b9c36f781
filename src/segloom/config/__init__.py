"""Options of everything, typed and checked; importing this package does not import torch.

Every name loads on first use: building the checks of all options takes a noticeable part of the
start of a short command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segloom.lazy import lazy_names

if TYPE_CHECKING:
    from segloom.config.data import AugmentConfig, DataConfig
    from segloom.config.evaluation import EvalConfig, InferenceConfig
    from segloom.config.model import ModelConfig
    from segloom.config.run import RunConfig
    from segloom.config.training import LossConfig, OptimConfig, TrainConfig

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "EvalConfig",
    "InferenceConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "TrainConfig",
]

_HOMES = {
    "AugmentConfig": "segloom.config.data",
    "DataConfig": "segloom.config.data",
    "EvalConfig": "segloom.config.evaluation",
    "InferenceConfig": "segloom.config.evaluation",
    "LossConfig": "segloom.config.training",
    "ModelConfig": "segloom.config.model",
    "OptimConfig": "segloom.config.training",
    "RunConfig": "segloom.config.run",
    "TrainConfig": "segloom.config.training",
}

__getattr__ = lazy_names(__name__, _HOMES)
