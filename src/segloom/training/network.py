"""The network that a training begins with, in the form that its options ask for."""

from __future__ import annotations

import torch

from segloom.config.model import ModelConfig
from segloom.config.run import RunConfig
from segloom.data import SegmentationDataset
from segloom.errors import ConfigError
from segloom.models import SegmentationModel, build_model
from segloom.models.adapters import add_lora
from segloom.training.batches import BatchPlan, check_single_sample
from segloom.training.callbacks.activations import checkpoint_activations
from segloom.training.depthwise import speed_up_depthwise
from segloom.training.distributed.group import uses_gpu
from segloom.training.distributed.sync_batchnorm import synchronize_batchnorm
from segloom.training.features import (
    cache_features,
    check_cacheable,
    check_memory,
    memory_for_maps,
)

__all__ = ["build_training_network"]


def build_training_network(
    config: RunConfig, training: SegmentationDataset, plan: BatchPlan
) -> SegmentationModel:
    """Build the network of a configuration for its data.

    Args:
        config: Everything; of ``train`` the memory format, batch norms over all processes and the
            feature maps that are recomputed.
        training: Where the number of classes and, without a crop, the image size come from.
        plan: A batch of a single image is refused where the network cannot take one.

    Raises:
        ConfigError: The options do not fit each other or the data.
    """
    gradual = config.train.frozen_epochs > 0 or config.train.unfreeze_every is not None
    if gradual and config.train.devices > 1:
        raise ConfigError(
            "train.frozen_epochs and train.unfreeze_every change which weights learn, which "
            "several processes cannot follow; set train.devices 1, or leave them out."
        )
    model = _build(config.model, training)
    if plan.smallest == 1:
        height, width = config.data.crop or training[0]["image"].shape[-2:]
        check_single_sample(model, (height, width), config.model.architecture)
    if config.model.lora is not None:
        add_lora(model, config.model.lora)
    _set_up(model, config)
    if config.train.cache_features:
        check_cacheable(config, model)
        check_memory(config, model, training)
        cache_features(model, memory_for_maps(config))
    return model


def _set_up(model: SegmentationModel, config: RunConfig) -> None:
    """Change how a network computes, but not what."""
    on_gpu = uses_gpu(config.train)
    if config.train.channels_last:
        model.to(memory_format=torch.channels_last)  # in place
    if config.train.precision == "bf16" and not on_gpu:
        speed_up_depthwise(model)
    if config.train.devices > 1 and config.train.sync_batchnorm:
        synchronize_batchnorm(model, on_gpu=on_gpu)
    if config.train.checkpoint_activations:
        checkpoint_activations(model, config.model.encoder_name)


def _build(config: ModelConfig, training: SegmentationDataset) -> SegmentationModel:
    """Build the network for the classes and the pixels of its data."""
    labels, pixels = training.labels, training.pixels
    model = build_model(
        _with_channels(config, training), len(labels.classes), is_multilabel=labels.is_multilabel
    )
    model.pixels = pixels
    if pixels and pixels.mean:
        model.set_normalization(pixels.mean, pixels.std)
    return model


def _with_channels(config: ModelConfig, training: SegmentationDataset) -> ModelConfig:
    """Give the network as many channels as the images have."""
    channels = training.pixels.channels if training.pixels else 3
    default = ModelConfig.model_fields["in_channels"].default
    if config.in_channels not in (channels, default):
        raise ConfigError(
            f"model.in_channels is {config.in_channels}, but the images are read with {channels} "
            "channels; leave it out, since it follows from the data."
        )
    return config.model_copy(update={"in_channels": channels})
