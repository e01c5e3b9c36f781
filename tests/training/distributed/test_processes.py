"""Two processes train and validate as one.

Shown for a network that normalises each image alone; batch normalisation over processes has its
own tests, see ``test_sync_batchnorm``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.servers import wait_for_handler

from segloom.config import RunConfig
from segloom.data import build_dataset
from segloom.errors import TrainingError
from segloom.metrics import scores
from segloom.models.weights.checkpoint import from_pretrained
from segloom.training import train
from segloom.training.distributed import processes
from segloom.training.streaming import ConfusionMatrix

# Layer norm in the encoder, no normalisation in the decoder, no dropout; plain SGD, since Adam
# magnifies the rounding of near-zero gradients.
PER_IMAGE = {
    "model__architecture": "unet",
    "model__encoder_name": "tu-test_convnext",
    "model__options": {"decoder_use_norm": False},
    "optim__name": "sgd",
    "optim__lr": 0.01,
    "train__threads": 2,
    "train__steps_per_epoch": 4,
}


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def validate_alone(run: Path, config: RunConfig) -> float:
    """Score the saved network in this process."""
    model = from_pretrained(run / "checkpoints/last")
    confusion = ConfusionMatrix(2)
    for sample in build_dataset(config.data, "val"):
        with torch.no_grad():
            logits = model(model.normalize(sample["image"][None]))
        confusion.update(logits.argmax(1).to(torch.uint8), sample["mask"][None])
    return float(scores(confusion.compute().numpy()).mIoU)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_two_processes_give_the_losses_weights_and_scores_of_one(
    share: float, tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    options = {**PER_IMAGE, "data__class_uniform": share, "data__class_uniform_tile": 16}
    train(tiny(**options, train__out=tmp_path / "one"))
    two = tiny(**options, train__out=tmp_path / "two", train__devices=2)
    result = train(two)
    # Three images over two processes: the same integers as from one process, to the last bit.
    assert rows(tmp_path / "two")[-1]["val/mIoU"] == validate_alone(tmp_path / "two", two)
    assert result.epochs == 2
    for alone, shared in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert shared["step"] == alone["step"]
        for name in ("train/total", "val/loss", "val/aAcc"):
            assert shared[name] == pytest.approx(alone[name], rel=1e-3), name
    weights = [
        load_file(tmp_path / run / "checkpoints/last/model.safetensors") for run in ("one", "two")
    ]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-3, atol=1e-5)


def test_processes_that_a_signal_ends_before_they_train_are_stopped_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(processes, "_start", lambda *_: subprocess.Popen(sleeper))
    before = signal.getsignal(signal.SIGTERM)

    def stop() -> None:
        wait_for_handler(before)  # without one the signal would end the process of the tests
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    assert not processes.run_processes(tmp_path, 2, show_progress=False)


def test_a_process_that_ends_without_a_word_ends_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = iter(["raise SystemExit(3)", "import time; time.sleep(0.2)"])
    monkeypatch.setattr(
        processes,
        "_start",
        lambda *_: subprocess.Popen([sys.executable, "-c", next(programs)]),
    )
    with pytest.raises(TrainingError, match="training process 0 ended with code 3"):
        processes.run_processes(tmp_path, 2, show_progress=False)
