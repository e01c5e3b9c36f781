"""Opening a network to answer images with, trained or exported; torch loads for the first alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segloom.config.evaluation import InferenceConfig
from segloom.errors import ConfigError
from segloom.runtime.description import is_export

if TYPE_CHECKING:
    from segloom.inference.predictor import Predictor
    from segloom.runtime.model import ExportedModel

__all__ = ["open_predictor"]


def open_predictor(
    path: Path, config: InferenceConfig | None = None, *, threads: int = 0
) -> Predictor | ExportedModel:
    """Open a run (its best checkpoint), a model directory, or what `segloom export` wrote.

    Args:
        path: Its folder.
        config: How an image is seen.
        threads: Of one image; 0 takes as many as there are cores, or as torch was told.

    Raises:
        CheckpointError: There is no network, or it cannot be loaded.
        ConfigError: The device or the precision is not there, or one is given for an exported
            network.
    """
    config = config or InferenceConfig()
    if not is_export(path):
        from segloom.inference.predictor import Predictor

        if threads:
            import torch

            torch.set_num_threads(threads)
        return Predictor.from_path(path, config)
    if config.precision != "fp32" or config.device == "cuda":
        raise ConfigError(
            f"{path} is an exported network, whose precision is that of its file and which runs "
            "on the processor; leave --inference.precision and --inference.device out."
        )
    from segloom.runtime.model import load

    return load(path, threads=threads, **config.model_dump(exclude={"precision", "device"}))
