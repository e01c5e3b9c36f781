"""Without a terminal, a training says once how long it will take."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from segloom.config import RunConfig
from segloom.training.callbacks import progress
from segloom.training.callbacks.progress import TRIED, ProgressDisplay
from segloom.training.stages import divide_stages


@pytest.mark.parametrize(("seconds_per_step", "said"), [(2.0, True), (0.1, False)])
def test_the_length_is_said_once_and_only_of_long_trainings(
    seconds_per_step: float, said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    output = io.StringIO()
    (stage,) = divide_stages(RunConfig().override(epochs=3))
    display = ProgressDisplay(stage, Console(file=output))
    trainer = SimpleNamespace(current_epoch=0, num_training_batches=20, is_global_zero=True)
    display.on_train_start(trainer, None)
    clock[0] += 30  # the first step is slower than the others
    for step in range(20):
        clock[0] += seconds_per_step
        display.on_train_batch_end(trainer, None, {}, None, step)
    left = (3 * 20 - TRIED) * seconds_per_step
    expected = f"about {progress.format_seconds(left)} for training, validation not counted\n"
    assert output.getvalue() == (expected if said else "")
