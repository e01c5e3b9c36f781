"""Lightning's Trainer as this project wants it: silent, and writing only into the run directory."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy

from segloom.config.training import TrainConfig
from segloom.files import atomic_path
from segloom.training.callbacks.hook import Hook
from segloom.training.distributed.group import local_size, uses_gpu
from segloom.training.distributed.processes import stop_signals

__all__ = ["build_trainer", "training_settings"]

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class StateFile(TorchCheckpointIO):  # type: ignore[misc]  # Lightning types it as Any
    """Write the trainer's state beside its target.

    Lightning's own way leads through the system's temporary folder, which may be small or memory.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, object], path: str | Path, storage_options: object | None = None
    ) -> None:
        """Write a checkpoint in one step."""
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


def build_trainer(
    config: TrainConfig, callbacks: list[Hook], clip: float | None, *, epochs: int
) -> Trainer:
    """Build the Trainer; the loops are Lightning's, everything that is written is ours.

    Args:
        config: The section ``train``.
        callbacks: In the order in which they are called.
        clip: Largest norm of the gradient.
        epochs: How far to train, counted from the first epoch of the run.
    """
    strategy: str | DDPStrategy = "auto"
    place, devices = LightningEnvironment(), local_size(config.devices)
    if config.devices > 1:
        place = TorchElasticEnvironment()
        # Statistics are averaged once per epoch (see Saver): processes validate different
        # numbers of images, so that a broadcast per batch would wait for ever.
        strategy = DDPStrategy(broadcast_buffers=False)
    return Trainer(
        accelerator="gpu" if uses_gpu(config) else "cpu",
        devices=devices,
        num_nodes=config.devices // devices,
        strategy=strategy,
        plugins=[place, StateFile()],
        precision=PRECISIONS[config.precision],
        max_epochs=epochs,
        check_val_every_n_epoch=config.validate_every,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=clip,
        deterministic=config.deterministic,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # the weights are swapped with their average around a validation
    )


@contextmanager
def training_settings(config: TrainConfig) -> Iterator[None]:
    """Set torch's switches for a training; give them and the signals back afterwards."""
    handlers = {name: signal.getsignal(name) for name in stop_signals()}
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # a property of the module
    if config.threads is not None:
        torch.set_num_threads(max(1, config.threads // local_size(config.devices)))
    elif config.devices > 1 and not uses_gpu(config):
        torch.set_num_threads(max(1, threads // local_size(config.devices)))
    # Numbers too small to matter cost a hundred times the others on a CPU.
    torch.set_flush_denormal(True)
    # Deterministic operations never read what they have not written: no need to fill it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module
    try:
        with _quiet_lightning():
            yield
    finally:
        if current_thread() is main_thread():
            for name, handler in handlers.items():
                signal.signal(name, handler)
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]  # a property of the module


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's tips, and its warnings about what is meant here, from the user."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")  # about its own insides
            for message in QUIET:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


QUIET = (
    # A frozen encoder stays in evaluation mode on purpose.
    r"Found \d+ module\(s\) in eval mode at the start of training",
    # A GPU that is there but not asked for.
    r"GPU available but not used",
    # fp16: the first steps may be skipped while the scale of the loss is found.
    r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`",
    # A process whose share of the validation images is empty still takes part in the sum.
    r"The ``compute`` method of metric ConfusionMatrix was called before",
)
"""Beginnings of the warnings that are not shown."""
