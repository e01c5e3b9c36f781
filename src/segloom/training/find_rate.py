"""A learning-rate range test: a few steps at ever higher rates, and where the loss falls fastest.

Paper: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3
(https://arxiv.org/abs/1506.01186). Differences: the rate rises geometrically, not linearly, so that
six decades fit into a hundred steps; and the suggestion is one rate, the steepest fall of the loss,
where the paper reads off two bounds of a cycle.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from threading import current_thread, main_thread
from types import FrameType

import numpy as np
from lightning.pytorch import LightningModule, Trainer, seed_everything
from pydantic import ValidationError
from torch import Tensor

from segloom.config.load import explain_invalid as explain_options
from segloom.config.run import RunConfig
from segloom.config.training import RateTestConfig
from segloom.errors import ConfigError, TrainingError
from segloom.terminal import Show, progress_bar
from segloom.training.assembly import assemble
from segloom.training.callbacks.activations import OnceUpdated
from segloom.training.callbacks.hook import Hook
from segloom.training.callbacks.seeding import StepSeed
from segloom.training.distributed.group import torchrun_size
from segloom.training.distributed.processes import stop_signals
from segloom.training.fit import check_device, explain_failure
from segloom.training.from_data import choose_options
from segloom.training.module import SegmentationTask
from segloom.training.stages import divide_stages
from segloom.training.trainer import build_trainer, training_settings

__all__ = ["RateTest", "find_rate"]

DIVERGED = 4.0
"""The test ends where the running mean of the loss is this many times its best."""
SPAN = 0.05
"""Share of the steps that the running mean looks back on."""
SHORTEST_SPAN = 4.0
"""Steps that it looks back on at least."""
CLEAR_FALL = 2.0
"""Standard deviations of a single loss that the smoothed loss must fall by."""


@dataclass(frozen=True)
class RateTest:
    """What a range test saw, step by step, and what it suggests."""

    rates: tuple[float, ...]
    """Learning rate of the decoder, the head and the enhancements at every step."""
    losses: tuple[float, ...]
    """Weighted sum of the losses of every step's batch, at the weights before the step."""
    smoothed: tuple[float, ...]
    """The losses without the scatter from batch to batch, see `smooth`."""
    suggestion: float | None
    """Where the loss falls fastest, see `find_rate`; None if no fall was found."""

    ran_away: bool = False
    """The loss ran away before the highest rate."""


def find_rate(
    config: RunConfig,
    steps: int = 100,
    lowest: float = 1e-6,
    highest: float = 1.0,
    *,
    show_progress: bool = False,
) -> RateTest:
    """Train a fresh network for a few steps at rates that rise from step to step; write nothing.

    Data, augmentation, losses, batch and precision are those of the training, of its first stage
    if it has several. The rates of all parameter groups rise together, so that an encoder keeps
    its ratio to ``optim.lr``. It runs in one process: the shares of ``train.devices`` are computed
    one after the other.

    The suggestion is the rate at which the smoothed loss falls most steeply over the logarithm of
    the rate, before its lowest point. There is none if the fall from the level of the first steps
    to the lowest point is less than `CLEAR_FALL` times the scatter of single losses, which is
    taken from the median difference of neighbours: losses that only scatter seem to fall that far
    in fewer than one of a hundred tests. It is where a search may start, no result: it comes from
    the first steps of one training, and knows nothing of the schedule or of the score in the end.

    Args:
        config: Everything of the training.
        steps: Optimiser steps.
        lowest: Rate of the first step.
        highest: Rate of the last step; the test ends earlier when the running mean of the loss is
            `DIVERGED` times its best and above its first value, or the loss is no number.
        show_progress: Show a bar on a terminal.

    Raises:
        ConfigError: Options do not fit each other, the data or the machine.
        DataError: An image or a label map cannot be used.
        TrainingError: The device cannot do what is asked, or the first loss is no number.
        KeyboardInterrupt: A signal stopped it.
    """
    try:
        options = RateTestConfig(steps=steps, lowest=lowest, highest=highest)
    except ValidationError as error:
        raise explain_options(error, "find_rate") from error
    if torchrun_size() is not None:
        raise ConfigError("a learning-rate test runs in one process; start it without torchrun.")
    config = _in_one_process(divide_stages(choose_options(config))[0].config)
    check_device(config)
    with training_settings(config.train):
        seed_everything(config.train.seed, verbose=False)
        try:
            ramp = _train(config, options, show_progress=show_progress)
        except RuntimeError as error:
            explain_failure(error)
            raise
    if ramp.was_stopped:
        raise KeyboardInterrupt
    if not ramp.losses:
        raise TrainingError(
            "the loss is no number at the first step; use train.precision fp32, or look at the "
            "data with `segloom data check`."
        )
    rates, losses = tuple(ramp.rates), tuple(ramp.losses)
    smoothed = smooth(losses, ramp.span)
    return RateTest(
        rates,
        losses,
        tuple(smoothed),
        suggest_rate(rates, losses, smoothed, ramp.span),
        ramp.ran_away,
    )


def _in_one_process(config: RunConfig) -> RunConfig:
    accumulate = config.train.accumulate * config.train.devices
    train = config.train.model_copy(update={"devices": 1, "accumulate": accumulate})
    return config.model_copy(update={"train": train})


def _train(config: RunConfig, options: RateTestConfig, *, show_progress: bool) -> _Ramp:
    parts = assemble(config)
    ratio = options.highest / options.lowest

    def factor(step: int) -> float:
        rise: float = ratio ** (step / (options.steps - 1))
        return options.lowest * rise / config.optim.lr

    task = SegmentationTask(
        parts.step, config.optim, factor=factor, fused=config.train.precision != "fp16"
    )
    ramp = _Ramp(options.steps, show_progress=show_progress)
    callbacks: list[Hook] = [StepSeed(config.train.seed), ramp]
    if config.train.checkpoint_activations:
        callbacks.append(OnceUpdated(parts.step.model))
    epochs = ceil(options.steps / parts.plan.num_steps)
    trainer = build_trainer(config.train, callbacks, config.optim.clip, epochs=epochs)
    trainer.limit_val_batches = 0
    trainer.fit(task, parts.training_batches())
    return ramp


class _Ramp(Hook):
    """Note rate and loss of every optimiser step, and end the training when it has seen enough."""

    def __init__(self, steps: int, *, show_progress: bool) -> None:
        self.steps, self.show_progress = steps, show_progress
        self.span = max(SHORTEST_SPAN, SPAN * steps)
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.parts: list[float] = []
        self.rate = 0.0
        self.ran_away = self.was_stopped = False
        self.bar: Show | None = None
        self.opened = ExitStack()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar and listen to signals; `training_settings` gives these back."""
        if current_thread() is main_thread():
            for name in stop_signals():
                signal.signal(name, self._on_signal)
        bar = progress_bar(
            total=self.steps, text_last=True, stays=True, quiet=not self.show_progress
        )
        self.bar = self.opened.enter_context(bar)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.was_stopped = True

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
        """Note the loss of a finished step, whose parts count alike."""
        self.parts.append(float(outputs["total"]))
        is_half_done = (batch_idx + 1) % trainer.accumulate_grad_batches
        if is_half_done and batch_idx + 1 < trainer.num_training_batches:
            return
        loss = sum(self.parts) / len(self.parts)
        self.parts.clear()
        if math.isfinite(loss):
            self.rates.append(self.rate)
            self.losses.append(loss)
        means = running_mean(self.losses, self.span) or [loss]
        is_high = means[-1] > max(DIVERGED * min(means), means[0])
        self.ran_away = not math.isfinite(loss) or is_high
        trainer.should_stop = self.ran_away or self.was_stopped or len(self.losses) == self.steps
        if self.bar is not None:
            self.bar(len(self.losses), None, f"lr {self.rate:.1e}  loss {loss:.3f}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the terminal as it was."""
        self.opened.close()


def running_mean(values: Sequence[float], span: float) -> list[float]:
    """Average what came before with weights that fall geometrically, by ``1 - 1 / span`` a step.

    The weights add up to 1 at every place, so that the first values are not drawn towards 0
    (Kingma and Ba, "Adam", ICLR 2015, section 3).
    """
    keep = 1 - 1 / span
    means, mean = [], 0.0
    for number, value in enumerate(values, start=1):
        mean = keep * mean + (1 - keep) * value
        means.append(mean / (1 - keep**number))
    return means


def smooth(losses: Sequence[float], span: float) -> list[float]:
    """Average the running means from both ends, so that no fall is seen later than it was.

    What is above the limit at which the test ends counts as that limit: one huge last loss would
    drown everything before it.
    """
    if not losses:
        return []
    before = running_mean(losses, span)
    limit = max(DIVERGED * min(before), before[0])
    cut = [min(loss, limit) for loss in losses]
    before, after = running_mean(cut, span), running_mean(cut[::-1], span)[::-1]
    # At the ends one of the two has but few losses to average, and counts for less.
    weights = [1 - (1 - 1 / span) ** number for number in range(1, len(cut) + 1)]
    parts = zip(before, weights, after, weights[::-1], strict=True)
    return [(left * a + right * b) / (a + b) for left, a, right, b in parts]


def suggest_rate(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], span: float
) -> float | None:
    """Find the steepest fall by the rule of `find_rate`; None if there is none."""
    margin = ceil(span)
    lowest = int(np.argmin(smoothed)) if smoothed else 0
    if lowest <= margin:
        return None
    curve = np.array(smoothed)
    # Differences of neighbours hold the scatter twice, and hardly the trend; 1.4826 makes a median
    # of absolute values the standard deviation of normal ones.
    scatter = 1.4826 * np.median(np.abs(np.diff(losses))) / np.sqrt(2)
    if curve[: margin + 1].mean() - curve[lowest] < CLEAR_FALL * scatter:
        return None
    slopes = np.gradient(curve, np.log(rates))
    # The slope of the first few means is that of but few losses.
    inner = slopes[margin : lowest + 1]
    return float(rates[margin + int(np.argmin(inner))])
