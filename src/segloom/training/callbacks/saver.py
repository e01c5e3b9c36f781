"""What a run leaves behind, and how it stops: best and last model, trainer state, signals."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import TypedDict

from lightning.pytorch import LightningModule, Trainer

from segloom.models import SegmentationModel
from segloom.run_directory import RunDirectory
from segloom.training.callbacks.average import WeightAverage
from segloom.training.callbacks.hook import Hook
from segloom.training.callbacks.recorder import Recorder
from segloom.training.distributed.group import any_process, average_over_processes
from segloom.training.distributed.processes import stop_signals

__all__ = ["Saver", "StopRequested"]


class StopRequested(Exception):  # noqa: N818 - a request, no error; Lightning would exit on KeyboardInterrupt
    """A signal asked the training to stop, and its state has been saved."""


class _State(TypedDict):
    best: float | None
    best_epoch: int
    position: list[int]
    is_finished: bool
    epochs: int


class Saver(Hook):
    """Save after every epoch, and at the next optimiser step after SIGINT or SIGTERM.

    The trainer's state is written last and in one step: a kill at any moment leaves a state that
    resumes, at worst that of the epoch before.

    Args:
        run: Where the files are.
        model: The network.
        save: Writes the network and its scores as a model directory.
        recorder: Holds the rows; must come before this one in the list of callbacks.
        average: The moving average, saved in place of the weights.
        patience: Stop after this many epochs without a better mIoU; None never stops early.
        epochs: Of the whole run, over all its stages.
        stop: Set by a signal; the stages of a run share it.
    """

    def __init__(
        self,
        run: RunDirectory,
        model: SegmentationModel,
        save: Callable[[Path, Mapping[str, object]], None],
        recorder: Recorder,
        *,
        average: WeightAverage | None,
        patience: int | None,
        epochs: int,
        stop: Event,
    ) -> None:
        self.run, self.model, self.save = run, model, save
        self.recorder, self.average, self.patience = recorder, average, patience
        self.best: float | None = None
        self.best_epoch = 0
        self.position = (0, 0)
        self.epochs, self.stop = epochs, stop
        self.is_finished = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to signals, in place of Lightning; `training_settings` gives them back."""
        if current_thread() is main_thread():  # elsewhere Python lets nobody listen
            for name in stop_signals():
                signal.signal(name, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stop.is_set():  # the second one does what it would have done without us
            for name in stop_signals():
                signal.signal(name, signal.SIG_DFL)
            signal.raise_signal(number)
        self.stop.set()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Stop here if asked to, unless the epoch is over anyway or a step is half done."""
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches or done == trainer.num_training_batches:
            return
        if any_process(self.stop.is_set()):
            self.position = (trainer.current_epoch, done)
            self._save_state(trainer)
            raise StopRequested

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let all processes validate with the same statistics."""
        average_over_processes(self.model.buffers())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch; stop if asked to or if nothing gets better."""
        epoch = trainer.current_epoch + 1
        score = self.recorder.rows[-1]["val/mIoU"]
        is_best = score is not None and (self.best is None or score > self.best)
        if is_best:
            self.best, self.best_epoch = score, epoch
        early = self.patience is not None and epoch - self.best_epoch >= self.patience
        self.is_finished = early or epoch == self.epochs
        trainer.should_stop = early
        if trainer.is_global_zero:
            facts = {"val mIoU": score, "epoch": epoch}
            self._save_models(facts, is_best=is_best or self.best is None)
        self.position = (epoch, 0)
        self._save_state(trainer)
        if any_process(self.stop.is_set()) and not self.is_finished:
            raise StopRequested

    def state_dict(self) -> _State:
        """Return the best score so far and where the training stands."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "position": list(self.position),
            "is_finished": self.is_finished,
            "epochs": self.epochs,
        }

    def load_state_dict(self, state_dict: _State) -> None:
        """Take them back."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]

    def _save_models(self, facts: Mapping[str, object], *, is_best: bool) -> None:
        in_place: AbstractContextManager[None] = nullcontext()
        if self.average is not None:
            in_place = self.average.in_place()
        with in_place:
            self.save(self.run.path / "checkpoints" / "last", facts)
            if is_best:
                self.save(self.run.path / "checkpoints" / "best", facts)

    def _save_state(self, trainer: Trainer) -> None:
        """Write the state of the optimiser, the schedule, the loops and the callbacks."""
        # All processes take part; the first one writes, in one step.
        trainer.save_checkpoint(self.run.trainer_state)
