"""The group of processes that train together: joined, waited for, and asked for sums.

Every process finds its place in torchrun's environment variables, which
`segloom.training.distributed.processes` sets likewise for the processes that it starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from segloom.config.run import RunConfig
from segloom.config.training import TrainConfig
from segloom.errors import ConfigError

__all__ = [
    "any_process",
    "average_over_processes",
    "first_of_machine_first",
    "is_distributed",
    "is_first_process",
    "join_torchrun",
    "local_size",
    "process_group",
    "process_rank",
    "sum_over_processes",
    "torchrun_size",
    "uses_gpu",
]

PLACE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that torchrun sets, for every process on every machine."""


def torchrun_size() -> int | None:
    """Return how many processes torchrun started, on all machines; None if it started none."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in PLACE) else None


def is_first_process() -> bool:
    """Say whether this process speaks for all that torchrun started, or was not started by it."""
    return torchrun_size() is None or os.environ["RANK"] == "0"


def uses_gpu(config: TrainConfig) -> bool:
    """Return whether the configuration trains on a GPU on this machine."""
    return config.accelerator != "cpu" and torch.cuda.is_available()


def local_size(devices: int) -> int:
    """Return how many of ``devices`` processes run on this machine."""
    return devices if torchrun_size() is None else int(os.environ["LOCAL_WORLD_SIZE"])


def join_torchrun(config: RunConfig) -> RunConfig:
    """Set ``train.devices``, if it is 1, to the number of processes that torchrun started.

    Raises:
        ConfigError: It is neither.
    """
    size, devices = torchrun_size(), config.train.devices
    if size in (None, devices):
        return config
    if devices > 1:
        raise ConfigError(
            f"torchrun started {size} process(es), but train.devices is {devices}; give torchrun "
            "that number with --nproc-per-node (times --nnodes), or leave train.devices out."
        )
    train = config.train.model_copy(update={"devices": size})
    return config.model_copy(update={"train": train})


@contextmanager
def process_group(num_processes: int, *, on_gpu: bool) -> Iterator[None]:
    """Join the group inside the block; nothing happens for one process, or in a group already.

    After an error the group is left as it is: to end it, every process would have to take part.
    """
    if num_processes == 1 or is_distributed():
        yield
        return
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else None
    # As Lightning does it, which finds the group then; we need it before there is a Trainer.
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        rank=int(os.environ["RANK"]),
        world_size=num_processes,
        device_id=device,
    )
    yield
    distributed.destroy_process_group()


def is_distributed() -> bool:
    """Return whether this process belongs to a group."""
    return distributed.is_available() and distributed.is_initialized()


def process_rank() -> int:
    """Return the number of this process, 0 if it is alone."""
    return distributed.get_rank() if is_distributed() else 0


@contextmanager
def first_of_machine_first() -> Iterator[None]:
    """Let one process per machine run the block before the others do.

    What it leaves on the disk they need not do again. If it fails, the others wait until whoever
    started them ends them.
    """
    if not is_distributed():
        yield
        return
    is_first = os.environ["LOCAL_RANK"] == "0"
    if not is_first:
        any_process(False)
    yield
    if is_first:
        any_process(False)


def any_process(flag: bool) -> bool:
    """Return whether the flag is set in any process; all must ask, and wait for each other."""
    if not is_distributed():
        return flag
    on_gpu = distributed.get_backend() == "nccl"
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else "cpu"
    return bool(sum_over_processes(torch.tensor([float(flag)], device=device)).item())


def sum_over_processes(values: Tensor) -> Tensor:
    """Add up a tensor over all processes, in place, and return it."""
    if is_distributed():
        distributed.all_reduce(values)
    return values


def average_over_processes(values: Iterable[Tensor]) -> None:
    """Average floating-point tensors over all processes, in place."""
    if is_distributed():
        for value in values:
            if value.is_floating_point():
                distributed.all_reduce(value)
                value /= distributed.get_world_size()
