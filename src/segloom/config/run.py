"""The whole configuration of a run: the root of every recipe and of the command line."""

from __future__ import annotations

from segloom.config.base import Section
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.config.model import ModelConfig
from segloom.config.training import LossConfig, OptimConfig, TrainConfig

__all__ = ["RunConfig"]


class RunConfig(Section):
    """Data, network, losses, optimiser, training and evaluation of one run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
