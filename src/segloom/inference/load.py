"""A trained network to label images with, from its run or model directory."""

from __future__ import annotations

import os
from pathlib import Path

from segloom.config.evaluation import InferenceConfig
from segloom.inference.opening import open_predictor
from segloom.prediction.segmenter import Segmenter

__all__ = ["load"]


def load(run: str | os.PathLike[str], config: InferenceConfig | None = None) -> Segmenter:
    """Load a trained network to label images with: ``segloom.load(run)(image)``.

    Args:
        run: A run (its best checkpoint is taken), a model directory, what `segloom.train`
            returned, or the folder of an export, which loads no torch.
        config: How an image is seen: window, scales, mirror image, precision, device.

    Raises:
        CheckpointError: There is no network, or it cannot be loaded.
        ConfigError: The device or the precision is not there.
    """
    return Segmenter(open_predictor(Path(run), config))
