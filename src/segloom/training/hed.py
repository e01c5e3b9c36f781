"""Training HED with its authors' recipe, on edge maps or on the borders of label maps.

Source: Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015, section 4, and the solver of
their caffe program. The images of a step pass one by one, so that each keeps its own size.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypedDict

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from segloom.config.edges import EdgeTrainingConfig
from segloom.data import build_dataset, build_loader
from segloom.data.dataset import SegmentationDataset
from segloom.data.loader import EpochSampler
from segloom.enhancements.hed.loss import balanced_edge_loss
from segloom.enhancements.hed.network import HedNetwork
from segloom.enhancements.hed.weights import load_hed
from segloom.errors import ConfigError, TrainingError
from segloom.files import atomic_path, hold_lock, remove_temporary_files, write_csv
from segloom.losses.cross_entropy import BoundaryCrossEntropy
from segloom.types import IGNORE_INDEX

__all__ = ["EdgeTrainingResult", "hed_parameter_groups", "label_boundaries", "train_edges"]

RATES = {"conv5": 100.0, "conv": 1.0, "score_dsn": 0.01, "score_final": 0.001}
"""Beginning of a layer's name to what its learning rate is multiplied with; the first counts."""

COLUMNS = ("step", "loss", "fused")


@dataclass(frozen=True)
class EdgeTrainingResult:
    """What a training left behind."""

    weights: Path
    """The trained network, for `segloom edges --weights`."""
    rows: list[dict[str, float]]
    """Per saving: the step and the mean losses per image since the one before, of all six maps
    (``loss``) and of the fused one (``fused``)."""


def train_edges(
    config: EdgeTrainingConfig,
    *,
    on_start: Callable[[int], None] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> EdgeTrainingResult:
    """Train HED, or go on with a training that was stopped.

    Args:
        config: Everything.
        on_start: Called with the number of steps done before, once the weights, the options and
            the first image are accepted.
        progress: Called after each step with the number of steps done and the loss per image.

    Raises:
        CheckpointError: The weights to start from cannot be read or do not fit.
        ConfigError: The folder holds a training with other options, or one that is running.
        DataError: An image or a label map cannot be used.
        TrainingError: The loss is no longer a number.
    """
    refusal = (
        f"another `segloom edges train` writes to {config.out}; wait until it has ended, or choose "
        "another folder with --out."
    )
    with hold_lock(config.out / ".lock", refusal):
        remove_temporary_files(config.out)
        return _train(config, on_start, progress)


def _train(
    config: EdgeTrainingConfig,
    on_start: Callable[[int], None] | None,
    progress: Callable[[int, float], None] | None,
) -> EdgeTrainingResult:
    network = load_hed(config.weights, config.geometry, for_training=True).to(_device(config))
    optimizer = torch.optim.SGD(hed_parameter_groups(network, config), momentum=config.momentum)
    rows: list[dict[str, float]] = []
    state = _read_state(config)
    if state:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        rows = state["rows"]
    first = int(rows[-1]["step"]) if rows else 0
    result = EdgeTrainingResult(config.out / "hed.safetensors", rows)
    samples = _samples(config, _dataset(config), first * config.data.batch_size)
    samples = chain([next(samples)], samples)  # a first image that cannot be used is told now
    if on_start is not None:
        on_start(first)
    sums, since = torch.zeros(len(COLUMNS) - 1), first
    for step in range(first + 1, config.steps + 1):
        _set_rate(optimizer, config, step)
        losses = _descend(network, optimizer, samples, config)
        if not losses.isfinite().all():
            raise TrainingError(
                f"the loss is no longer a number at step {step}; lower lr (now {config.lr:g})."
            )
        sums += losses
        if progress is not None:
            progress(step, losses[0].item())
        if step % config.save_every == 0 or step == config.steps:
            means = (sums / (step - since)).tolist()
            rows.append(dict(zip(COLUMNS, [step, *means], strict=True)))
            _save(config, network, optimizer, result)
            sums, since = torch.zeros_like(sums), step
    return result


def _device(config: EdgeTrainingConfig) -> torch.device:
    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise ConfigError("device is cuda, but torch finds no GPU; use --device cpu.")
    return torch.device("cuda" if has_gpu and config.device != "cpu" else "cpu")


def hed_parameter_groups(
    network: HedNetwork, config: EdgeTrainingConfig
) -> list[dict[str, object]]:
    """Give every parameter its rate and decay: biases learn twice as fast and do not decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        is_bias = name.endswith("bias")
        rate = next(rate for start, rate in RATES.items() if name.startswith(start))
        factor = rate * (1 + is_bias)
        decay = 0.0 if is_bias else config.weight_decay
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "lr": config.lr, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]


def label_boundaries(mask: Tensor) -> Tensor:
    """Draw the borders between classes, two pixels wide.

    Args:
        mask: Integers ``(B, H, W)``, class ids and 255 for void.

    Returns:
        uint8 ``(B, H, W)``: 1 on a border, 0 elsewhere, 255 for void, which has no border.
    """
    edges = BoundaryCrossEntropy(width=1).band(mask).to(torch.uint8)
    return edges.masked_fill(mask == IGNORE_INDEX, IGNORE_INDEX)


def _descend(
    network: HedNetwork,
    optimizer: torch.optim.Optimizer,
    samples: Iterator[tuple[Tensor, Tensor]],
    config: EdgeTrainingConfig,
) -> Tensor:
    """Take one step over ``data.batch_size`` images; return both losses, means over the images."""
    optimizer.zero_grad(set_to_none=True)
    number, total = config.data.batch_size, torch.zeros(len(COLUMNS) - 1)
    device = network.mean.device
    for _ in range(number):
        image, target = (tensor.to(device) for tensor in next(samples))
        losses = balanced_edge_loss(network(image.float()), target)  # five sides, fused
        torch.autograd.backward(losses.sum() / number)
        total += torch.stack([losses.detach().sum(), losses.detach()[-1]]).cpu() / number
    optimizer.step()
    return total


def _set_rate(optimizer: torch.optim.Optimizer, config: EdgeTrainingConfig, step: int) -> None:
    rate = config.lr * 0.1 ** ((step - 1) // config.lr_drop)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def _dataset(config: EdgeTrainingConfig) -> SegmentationDataset:
    data = config.data
    if config.target == "edges":
        data = data.model_copy(update={"mask_format": "binary", "classes": (), "palette": ()})
    return build_dataset(data, "train", augment=True, seed=config.seed)


def _samples(
    config: EdgeTrainingConfig, dataset: SegmentationDataset, done: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images ``(1, 3, H, W)`` and targets ``(1, H, W)`` without end, from a position on."""
    epoch, start = divmod(done, len(dataset))
    loader = build_loader(
        dataset,
        batch_size=1,
        shuffle=True,
        seed=config.seed,
        workers=config.data.workers,
        start=(epoch, start),
    )
    sampler = loader.sampler
    assert isinstance(sampler, EpochSampler)  # noqa: S101 - for the type checker
    while True:
        sampler.set_epoch(epoch)
        for batch in loader:
            mask = batch["mask"]
            yield batch["image"], mask if config.target == "edges" else label_boundaries(mask)
        epoch += 1


def _save(
    config: EdgeTrainingConfig,
    network: HedNetwork,
    optimizer: torch.optim.Optimizer,
    result: EdgeTrainingResult,
) -> None:
    """Write the network, the losses and, last and in one step, what it takes to go on."""
    tensors = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    with atomic_path(result.weights) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_csv(config.out / "loss.csv", COLUMNS, result.rows)
    state = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rows": result.rows,
        "options": _same_options(config),
    }
    with atomic_path(config.out / "state.pt") as temporary:
        torch.save(state, temporary)


class _State(TypedDict):
    network: dict[str, Tensor]
    optimizer: dict[str, object]
    rows: list[dict[str, float]]
    options: str


def _read_state(config: EdgeTrainingConfig) -> _State | None:
    path = config.out / "state.pt"
    if not path.exists():
        return None
    try:
        state: _State = torch.load(path, map_location="cpu", weights_only=True)
        options = state["options"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{path} is damaged; remove it or choose another --out.") from error
    if options != _same_options(config):
        raise ConfigError(
            f"{config.out} holds a training with other options; choose another --out, or remove "
            f"{path} to begin anew."
        )
    return state


def _same_options(config: EdgeTrainingConfig) -> str:
    """Write down what must not change when a training goes on: all but its length and place."""
    # Empty, options of plug-ins are left out, as in the files of versions that knew none.
    no_options: dict[str, set[str]] = {} if config.data.options else {"data": {"options"}}
    return config.model_dump_json(
        exclude={"steps": True, "save_every": True, "out": True, "device": True, **no_options}
    )
