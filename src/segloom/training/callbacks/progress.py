"""What a person sees while a network trains: a bar on a terminal, else a line per epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Task as RichTask
from rich.text import Text
from torch import Tensor

from segloom.training.callbacks.hook import Hook
from segloom.training.callbacks.recorder import Row
from segloom.training.stages import Stage

__all__ = ["ProgressDisplay", "describe_row", "format_seconds"]


TRIED = 6
"""Steps after which the length of the training is estimated; the first one is no measure."""
LONG = 60.0  # seconds; of a shorter training nothing is said


class ProgressDisplay(Hook):
    """Show loss, validation mIoU and the time left, on standard error.

    Args:
        stage: What is trained; the bar and the time left are its own.
        console: Where to show it; a bar if it is a terminal.
    """

    def __init__(self, stage: Stage, console: Console | None = None) -> None:
        self.stage, self.epochs = stage, stage.config.train.epochs
        self.console = console or Console(stderr=True)
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.start = time.monotonic()
        self.first_epoch = 0
        self.num_steps, self.first_step = 0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin; a resumed run counts its time left from what is left."""
        self.start, self.first_epoch = time.monotonic(), trainer.current_epoch
        if not (self.console.is_terminal and trainer.is_global_zero):
            return
        steps = int(trainer.num_training_batches) * (self.stage.end - self.stage.start)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  mIoU {task.fields[score]}"),
            TimeElapsedColumn(),
            _TimeLeft(),
            console=self.console,
        )
        done = (trainer.current_epoch - self.stage.start) * int(trainer.num_training_batches)
        self.task = self.bar.add_task(
            self._title(trainer), total=steps, completed=done, loss="-", score="-"
        )
        self.bar.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Mapping[str, Tensor],
        batch: object,
        batch_idx: int,
    ) -> None:
        """Move the bar; without one, say once how long it will take."""
        self.num_steps += 1
        if self.num_steps == 1:
            self.first_step = time.monotonic()
        elif self.num_steps == TRIED and self.bar is None and trainer.is_global_zero:
            self._say_length(trainer, batch_idx + 1)
        if self.bar is not None:
            epochs = trainer.current_epoch - self.stage.start
            place = epochs * int(trainer.num_training_batches) + batch_idx + 1
            self.bar.update(
                self.task,
                description=self._title(trainer),
                completed=place,
                loss=f"{float(outputs['total']):.3f}",
            )

    def show_row(self, row: Row, best: float | None = None) -> None:
        """Show a finished epoch; ``best`` is the best score of the run, resumed or not."""
        score = row["val/mIoU"]
        if self.bar is not None and score is not None:
            self.bar.update(self.task, score=f"{score:.3f} (best {max(best or 0, score):.3f})")
        epoch = row["epoch"] or 0
        left = (time.monotonic() - self.start) / (epoch - self.first_epoch)
        left *= self.stage.end - epoch
        line = self.stage.title + describe_row(row, self.epochs)
        if left > 0 and self.bar is None:
            line += f"  {format_seconds(left)} left"
        self.console.print(line, highlight=False, soft_wrap=True)

    def show(self, line: str) -> None:
        """Show a line of text."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal to the sentence that says why the training stopped."""
        self._stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the terminal as it was."""
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _say_length(self, trainer: Trainer, done: int) -> None:
        """Estimate the time left from the steps so far."""
        step = (time.monotonic() - self.first_step) / (self.num_steps - 1)
        epochs = self.stage.end - trainer.current_epoch
        left = step * (epochs * int(trainer.num_training_batches) - done)
        if left >= LONG:
            self.show(f"about {format_seconds(left)} for training, validation not counted")

    def _title(self, trainer: Trainer) -> str:
        epoch = min(trainer.current_epoch + 1, self.stage.end)
        return f"{self.stage.title}epoch {epoch}/{self.epochs}"


class _TimeLeft(ProgressColumn):
    """Time left by the mean speed so far; rich's own column forgets how long a validation takes."""

    def render(self, task: RichTask) -> Text:
        started: int = task.fields.setdefault("started", int(task.completed))
        done = task.completed - started
        if not done or task.elapsed is None or task.total is None:
            return Text("-:-- left")
        return Text(f"{format_seconds(task.elapsed / done * (task.total - task.completed))} left")


def describe_row(row: Row, epochs: int) -> str:
    """Write a row of the history as a line of text."""
    score = "-" if row["val/mIoU"] is None else f"{row['val/mIoU']:.4f}"
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['train/total']:.4f}  val mIoU {score}  "
        f"lr {row['lr']:.2e}  {row['seconds']:.1f} s"
    )


def format_seconds(seconds: float) -> str:
    """Write a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
