"""From a configuration to what is trained: data, network, losses and the batches of an epoch."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypedDict

import torch

from segloom.config.run import RunConfig
from segloom.data import SegmentationDataset, build_dataset, build_loader
from segloom.data.class_uniform import ClassUniform, class_uniform
from segloom.data.source import check_same_classes
from segloom.data.statistics import class_weights, count_classes
from segloom.enhancements import list_enhancements
from segloom.errors import ConfigError
from segloom.labels.space import space_of
from segloom.losses import build_losses
from segloom.training.batches import BatchPlan, plan_batches
from segloom.training.distributed.group import first_of_machine_first, process_rank
from segloom.training.loader import Batches, TrainingBatches
from segloom.training.network import build_training_network
from segloom.training.step import TrainingStep

__all__ = ["Assembly", "assemble"]


class _Share(TypedDict):
    """Options that the loaders of training and validation have in common."""

    rank: int
    world_size: int
    workers: int
    pin_memory: bool


@dataclass(frozen=True)
class Assembly:
    """What one stage of a training needs, before the first step."""

    config: RunConfig
    """That of the stage."""
    training: SegmentationDataset
    validation: SegmentationDataset
    uniform: ClassUniform | None
    """Which crops show which class, if ``data.class_uniform`` asks for it."""
    plan: BatchPlan
    step: TrainingStep
    """The network and its losses."""

    def training_batches(self, epoch: int = 0, done: int = 0) -> TrainingBatches:
        """Build the batches of training, from where a saved state stopped."""
        loader = build_loader(
            self.training,
            plan=self.uniform,
            batch_size=self.plan.batch_size,
            shuffle=True,
            seed=self.config.train.seed,
            drop_last=self.plan.drop_last,
            start=(epoch, done),
            **self._share(),
        )
        return TrainingBatches(loader, self.plan.num_batches)

    def validation_batches(self) -> Batches:
        """Build the batches of validation.

        One whole image at a time, as evaluation does it: nothing is padded to another's size.
        """
        loader = build_loader(self.validation, batch_size=1, shuffle=False, **self._share())
        return Batches(loader, len(loader))

    def _share(self) -> _Share:
        return {
            "rank": process_rank(),
            "world_size": self.config.train.devices,
            "workers": self.config.data.workers,
            "pin_memory": torch.cuda.is_available(),
        }


def assemble(config: RunConfig) -> Assembly:
    """Build data, network and losses of a stage.

    Raises:
        ConfigError: The options do not fit each other or the data.
        DataError: An image or a label map cannot be used, validation has other classes, or
            its label maps are void throughout.
    """
    # What is decoded, counted and listed on a cold cache the other processes find there.
    with first_of_machine_first() if config.data.cache else nullcontext():
        training = build_dataset(config.data, "train", augment=True, seed=config.train.seed)
        validation = build_dataset(config.data, "val")
        check_same_classes({"train": training.classes, "val": validation.classes})
        validation.require_labels("val")
        weights = _class_weights(config, training)
        uniform = _class_uniform(config, training)
    plan = plan_batches(config, len(training))
    model = build_training_network(config, training, plan)
    if model.edge_channels:
        training.require_edges()
        validation.require_edges()
    losses = build_losses(
        config.loss,
        class_weights=weights,
        auxiliary=model.loss_weights,
        known_enhancements=list_enhancements(),
        mode=model.mode,
    )
    step = TrainingStep(model, losses, channels_last=config.train.channels_last)
    return Assembly(config, training, validation, uniform, plan, step)


def _class_weights(config: RunConfig, training: SegmentationDataset) -> list[float] | None:
    if len(training.classes) < space_of(training.labels).least_classes:
        raise ConfigError(
            f"the data has a single class ({training.classes[0]}), which leaves nothing to tell "
            "apart; declare the background as a class in data.classes."
        )
    scheme, power = config.loss.class_weights, config.loss.class_weight_power
    if scheme == "none" or (scheme == "auto" and len(training.classes) <= 2):
        return None
    if scheme == "auto":  # decided by benchmarks/studies/class_weights
        scheme, power = "log", power / 2
    return [weight**power for weight in class_weights(count_classes(training), scheme)]


def _class_uniform(config: RunConfig, training: SegmentationDataset) -> ClassUniform | None:
    if not config.data.class_uniform:
        return None
    return class_uniform(config.data, training, config.train.seed)
