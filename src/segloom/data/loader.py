"""Batches in an order that is a pure function of (seed, epoch): exact to resume and to divide.

Axes: B batch, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from segloom.data.class_uniform import ClassUniform
from segloom.data.dataset import EdgeSample, SegmentationDataset
from segloom.data.transforms import SampleKey, fill_of
from segloom.errors import ConfigError
from segloom.types import IGNORE_INDEX, Batch

__all__ = ["EpochSampler", "build_loader", "collate"]


class EpochSampler(Sampler[SampleKey]):
    """Keys (epoch, index, ...) of one process's share of an epoch.

    The order of an epoch is divided by strides, so that batch b of all processes together is
    batch b of a single process with their summed batch size. With shuffling (training) every
    process gets equally many samples, the order being continued from its own start where it does
    not divide; without (evaluation) no sample occurs twice, and shares may differ by one.

    Args:
        num_samples: Length of the data set.
        shuffle: Permute each epoch, else keep the order.
        seed: Of the permutations.
        rank: Number of this process.
        world_size: How many processes there are.
        start: Epoch to begin with, and how many samples of this process's share in that epoch
            are done already.
        plan: What an epoch holds; None is every sample once.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: tuple[int, int] = (0, 0),
        plan: ClassUniform | None = None,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ConfigError(f"process {rank} of {world_size}: ranks go from 0 to one below.")
        self.num_samples, self.shuffle, self.seed = num_samples, shuffle, seed
        self.rank, self.world_size, self.start, self.plan = rank, world_size, start, plan
        self.epoch = start[0]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self.epoch = epoch

    def order(self) -> list[int]:
        """Return this process's places in the epoch, all, in order; without a plan, indices."""
        if not self.shuffle:
            return list(range(self.rank, self.num_samples, self.world_size))
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.epoch,))
        generator = np.random.Generator(np.random.PCG64(sequence))
        order = generator.permutation(self.num_samples)
        share = -(-self.num_samples // self.world_size)
        places = np.arange(self.rank, share * self.world_size, self.world_size)
        return [int(index) for index in order[places % self.num_samples]]

    def __iter__(self) -> Iterator[SampleKey]:
        epoch = self.epoch  # fixed for this iteration, whatever is set while it runs
        keys = self.plan.keys(epoch) if self.plan else None
        for place in self.order()[self._done() :]:
            yield SampleKey(epoch, place) if keys is None else keys[place]

    def __len__(self) -> int:
        share = -(-self.num_samples // self.world_size)
        if not self.shuffle:
            share = len(range(self.rank, self.num_samples, self.world_size))
        return max(0, share - self._done())

    def _done(self) -> int:
        return self.start[1] if self.epoch == self.start[0] else 0


def build_loader(
    dataset: SegmentationDataset,
    *,
    batch_size: int,
    shuffle: bool,
    seed: int = 0,
    workers: int = 0,
    drop_last: bool = False,
    rank: int = 0,
    world_size: int = 1,
    start: tuple[int, int] = (0, 0),
    pin_memory: bool = False,
    plan: ClassUniform | None = None,
) -> DataLoader[EdgeSample]:
    """Make the loader of a data set; its ``sampler`` has ``set_epoch``.

    The global random state of torch is not touched, and batches do not depend on ``workers``.

    Args:
        dataset: What to load.
        batch_size: Samples per batch of this process.
        shuffle: Permute each epoch (training).
        seed: Of the permutations.
        workers: DataLoader workers; 0 loads in this one.
        drop_last: Leave out a last batch that is not full.
        rank: Number of this process.
        world_size: How many processes train together.
        start: (epoch, batches of it already done) for resuming in the middle of an epoch.
        pin_memory: Keep batches where a GPU copies them fast.
        plan: What an epoch holds; None is every sample once.

    Returns:
        Batches as `collate` makes them.

    Raises:
        ConfigError: ``drop_last`` would leave no batch at all, or a number is out of range.
    """
    if batch_size < 1:
        raise ConfigError(f"a batch holds at least one sample, not {batch_size}.")
    sampler = EpochSampler(
        len(dataset),
        shuffle=shuffle,
        seed=seed,
        rank=rank,
        world_size=world_size,
        start=(start[0], start[1] * batch_size),
        plan=plan,
    )
    share = -(-len(dataset) // world_size)
    if drop_last and share < batch_size:
        raise ConfigError(
            f"{len(dataset)} samples for {world_size} process(es) do not fill one batch of "
            f"{batch_size} each; lower data.batch_size to at most {share * world_size}."
        )
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        drop_last=drop_last,
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=_quiet_worker,
        persistent_workers=workers > 0,
        # The loader draws a seed for its workers; its own generator keeps the global one as it is.
        generator=torch.Generator().manual_seed(seed),
    )


def _quiet_worker(worker: int) -> None:
    """Keep OpenCV from starting a thread per core in each of several worker processes."""
    cv2.setNumThreads(0)


def collate(samples: Sequence[EdgeSample]) -> Batch:
    """Stack samples, padding on the right and below to the largest.

    Returns:
        ``image`` uint8 ``(B, C, H, W)`` in channels-last memory, padded with `fill_of`; ``mask``
        ``(B, H, W)``, padded with void; ``meta``, a list; ``edge`` uint8 ``(B, H, W)``, padded with
        0, if every sample has edges.
    """
    height = max(sample["mask"].shape[0] for sample in samples)
    width = max(sample["mask"].shape[1] for sample in samples)
    channels = samples[0]["image"].shape[0]
    image = torch.empty((len(samples), height, width, channels), dtype=torch.uint8)
    fill = torch.tensor(fill_of(channels), dtype=torch.uint8)
    for place, sample in zip(image, samples, strict=True):
        _, rows, columns = sample["image"].shape
        place[:rows, :columns] = sample["image"].permute(1, 2, 0)
        place[rows:] = fill
        place[:rows, columns:] = fill
    batch: Batch = {
        "image": image.permute(0, 3, 1, 2),
        "mask": _stack([sample["mask"] for sample in samples], (height, width), IGNORE_INDEX),
        "meta": [sample["meta"] for sample in samples],
    }
    if all("edge" in sample for sample in samples):
        batch["edge"] = _stack([sample["edge"] for sample in samples], (height, width), 0)
    return batch


def _stack(planes: list[Tensor], size: tuple[int, int], fill: int) -> Tensor:
    stacked = torch.full((len(planes), *size), fill, dtype=planes[0].dtype)
    for place, plane in zip(stacked, planes, strict=True):
        place[: plane.shape[0], : plane.shape[1]] = plane
    return stacked
