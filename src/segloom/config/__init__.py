"""Options of everything, typed and checked; importing this package does not import torch."""

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
