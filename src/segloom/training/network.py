"""The network that a training begins with, in the form that its options ask for."""

from __future__ import annotations

import torch

from segloom.config.run import RunConfig
from segloom.data import SegmentationDataset
from segloom.models import SegmentationModel, build_model
from segloom.training.activations import checkpoint_activations
from segloom.training.batches import BatchPlan, check_single_sample
from segloom.training.group import uses_gpu
from segloom.training.sync_batchnorm import synchronize_batchnorm

__all__ = ["build_training_network"]


def build_training_network(
    config: RunConfig, training: SegmentationDataset, plan: BatchPlan
) -> SegmentationModel:
    """Build the network of a configuration for its data.

    Args:
        config: Everything; of ``train`` the memory format, batch norms over all processes and the
            inner maps that are computed twice.
        training: Where the number of classes and, without a crop, the image size come from.
        plan: A batch of a single image is refused where the network cannot take one.

    Raises:
        ConfigError: The options do not fit each other or the data.
    """
    labels = training.labels
    model = build_model(config.model, len(labels.classes), is_multilabel=labels.is_multilabel)
    if plan.smallest == 1:
        height, width = config.data.crop or training[0]["image"].shape[-2:]
        check_single_sample(model, (height, width), config.model.architecture)
    if config.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if config.train.devices > 1 and config.train.sync_batchnorm:
        synchronize_batchnorm(model, on_gpu=uses_gpu(config.train))
    if config.train.checkpoint_activations:
        checkpoint_activations(model, config.model.encoder_name)
    return model
