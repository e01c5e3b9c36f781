"""The history of a run: one row per epoch, in metrics.csv, metrics.jsonl and TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import SupportsFloat, TypeAlias, TypedDict

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from segloom.errors import TrainingError
from segloom.files import write_csv, write_text
from segloom.run_directory import RunDirectory
from segloom.training.callbacks.hook import Hook
from segloom.training.distributed.group import sum_over_processes
from segloom.training.module import SegmentationTask

__all__ = ["Recorder", "Row"]

CHECK_EVERY = 20
"""Steps between two looks at the loss on a GPU, where each look waits for the device."""

VALIDATION = ("val/mIoU", "val/aAcc", "val/mAcc", "val/loss")


Row: TypeAlias = dict[str, float | None]
"""Of the history: column to number, None where there is none."""


class _State(TypedDict):
    rows: list[Row]
    names: list[str]
    sums: Tensor
    count: int
    seconds: float


class Recorder(Hook):
    """Average the losses of an epoch, score its validation, write the row.

    Args:
        run: Where the files are.
        tensorboard: Write TensorBoard events too.
        on_row: Called in the first process with every finished row.
    """

    def __init__(
        self, run: RunDirectory, *, tensorboard: bool, on_row: Callable[[Row], None]
    ) -> None:
        self.run, self.on_row = run, on_row
        self.rows: list[Row] = []
        self.names: list[str] = []
        self.sums = torch.zeros(())
        self.count = 0
        self.rate = 0.0
        self.seconds = 0.0
        self.validation: dict[str, float | None] = {}
        self.tensorboard = tensorboard
        self.events: SummaryWriter | None = None
        self._clock = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the event file; what an earlier process wrote is kept."""
        self._clock = time.monotonic()
        if self.tensorboard and trainer.is_global_zero:
            self.events = SummaryWriter(
                str(self.run.path / "tensorboard"), purge_step=trainer.global_step
            )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Note the rate of this step; afterwards the optimiser holds that of the next."""
        self.rate = float(trainer.optimizers[0].param_groups[-1]["lr"])

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Mapping[str, Tensor],
        batch: object,
        batch_idx: int,
    ) -> None:
        """Add the losses of a batch; stop at one that is not a number."""
        losses = {name: value for name, value in outputs.items() if name != "loss"}
        values = torch.stack([value.detach().double() for value in losses.values()])
        self.names = list(losses)
        self.sums = self.sums.to(values.device) + values
        self.count += 1
        # A sum keeps a NaN, so that a late look finds it too.
        if pl_module.device.type == "cpu" or self.count % CHECK_EVERY == 0:
            self._check_finite(trainer, batch_idx)

    def on_validation_end(self, trainer: Trainer, pl_module: SegmentationTask) -> None:
        """Take the scores of all processes."""
        result = pl_module.take_scores()
        losses = pl_module.validation_losses or [torch.tensor(0.0, device=pl_module.device)]
        total = torch.stack(losses).double().sum()
        counted = torch.tensor(float(len(pl_module.validation_losses)), device=total.device)
        totals = sum_over_processes(torch.stack([total, counted.double()])).tolist()
        pl_module.validation_losses.clear()
        self.validation = {
            "val/mIoU": _number(result.mIoU),
            "val/aAcc": _number(result.aAcc),
            "val/mAcc": _number(result.mAcc),
            "val/loss": _number(totals[0] / totals[1]) if totals[1] else None,
        }

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish the row."""
        self._check_finite(trainer, trainer.fit_loop.batch_idx)
        sums = sum_over_processes(self.sums.clone()) / trainer.world_size / self.count
        row: Row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "lr": self.rate,
            "seconds": round(self.seconds + self._lap(), 3),
        }
        losses = zip(self.names, sums.tolist(), strict=True)
        row |= {f"train/{name}": _number(value) for name, value in losses}
        row |= {name: self.validation.get(name) for name in VALIDATION}
        self.rows.append(row)
        self.sums, self.count, self.seconds, self.validation = torch.zeros(()), 0, 0.0, {}
        if trainer.is_global_zero:
            self._write(row)
            self.on_row(row)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the event file."""
        if self.events is not None:
            self.events.close()

    def state_dict(self) -> _State:
        """Return the rows and the sums of an epoch under way."""
        return {
            "rows": self.rows,
            "names": self.names,
            "sums": self.sums,
            "count": self.count,
            "seconds": self.seconds + self._lap() if self.count else 0.0,
        }

    def load_state_dict(self, state_dict: _State) -> None:
        """Take them back; rows of epochs after the saved state are gone."""
        self.rows, self.names = state_dict["rows"], state_dict["names"]
        self.sums, self.count = state_dict["sums"], state_dict["count"]
        self.seconds = state_dict["seconds"]

    def _lap(self) -> float:
        """Seconds since the last look."""
        now = time.monotonic()
        seconds, self._clock = now - self._clock, now
        return seconds

    def _check_finite(self, trainer: Trainer, batch: int) -> None:
        if bool(torch.isfinite(self.sums[self.names.index("total")])):
            return
        broken = [
            name
            for name, value in zip(self.names, self.sums.tolist(), strict=True)
            if not math.isfinite(value)
        ]
        raise TrainingError(
            f"the loss is no longer a number ({', '.join(broken)}) in epoch "
            f"{trainer.current_epoch + 1}, step {batch + 1}; lower optim.lr, set optim.clip to 1, "
            "add optim.warmup 0.1, or use train.precision fp32; then start again, or resume from "
            "the last saved epoch with train.resume."
        )

    def _write(self, row: Row) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        write_csv(self.run.history, columns, self.rows)
        lines = [json.dumps(row, allow_nan=False) for row in self.rows]
        write_text(self.run.history.with_suffix(".jsonl"), "\n".join(lines) + "\n")
        if self.events is not None:
            for name, value in row.items():
                if value is not None and name not in ("epoch", "step"):
                    self.events.add_scalar(name, value, row["step"])
            self.events.flush()


def _number(value: SupportsFloat) -> float | None:
    """Turn NaN, a score that does not exist, into None."""
    return None if math.isnan(value) else float(value)
