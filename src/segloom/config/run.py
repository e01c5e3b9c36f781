"""The whole configuration of a run: the root of every recipe and of the command line."""

from __future__ import annotations

from pydantic import ValidationError

from segloom.config.base import Section
from segloom.config.data import DataConfig
from segloom.config.evaluation import EvalConfig
from segloom.config.model import ModelConfig
from segloom.config.overrides import apply_overrides
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

    def override(self, **options: object) -> RunConfig:
        """Return a configuration with other values of some options.

        Args:
            options: By full name with underscores for dots (``data_root``, ``optim_lr``), or by
                the short names of the command line (``epochs``, ``lr``, ``batch_size``, ...).

        Raises:
            ConfigError: An option is unknown or out of range; all such options are named at once.
        """
        from segloom.config.load import explain_invalid  # which reads files into this class

        values = apply_overrides(RunConfig, self.model_dump(), options)
        try:
            return RunConfig.model_validate(values)
        except ValidationError as error:
            raise explain_invalid(error, "options") from error
