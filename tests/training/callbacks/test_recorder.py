"""The rows of a run: means of losses, scores, what is written, and losses that are no numbers."""

from __future__ import annotations

import csv
import json
import math
from types import SimpleNamespace

import pytest
import torch

from segloom.errors import TrainingError
from segloom.run_directory import RunDirectory
from segloom.training.callbacks.recorder import Recorder


def trainer(*, epoch=0, step=0, rates=(0.1, 0.5), is_first=True):
    groups = [{"lr": rate} for rate in rates]
    return SimpleNamespace(
        current_epoch=epoch,
        global_step=step,
        is_global_zero=is_first,
        world_size=1,
        optimizers=[SimpleNamespace(param_groups=groups)],
        fit_loop=SimpleNamespace(batch_idx=step - 1),
    )


def task(mean=0.5, losses=(), device="cpu"):
    scores = SimpleNamespace(mIoU=mean, aAcc=0.75, mAcc=math.nan)
    return SimpleNamespace(
        device=torch.device(device),
        take_scores=lambda: scores,
        validation_losses=[torch.tensor(loss) for loss in losses],
    )


def epoch(recorder, totals, *, number=0, validation=None, **facts):
    """Go through an epoch of batches with these losses; half of each is of the edges."""
    for index, total in enumerate(totals):
        now = trainer(epoch=number, step=index + 1, **facts)
        recorder.on_train_batch_start(now, task(), None, index)
        outputs = {"loss": 99.0, "total": torch.tensor(total), "edges": torch.tensor(total / 2)}
        recorder.on_train_batch_end(now, task(), outputs, None, index)
    if validation is not None:
        recorder.on_validation_end(now, validation)
    recorder.on_train_epoch_end(now, task())


@pytest.fixture
def made(tmp_path):
    rows = []
    recorder = Recorder(RunDirectory(tmp_path), tensorboard=False, on_row=rows.append)
    recorder.on_train_start(trainer(), task())
    return recorder, rows


def written(tmp_path):
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_row_has_the_means_of_the_epoch_and_the_rate_of_the_last_group(made, tmp_path):
    recorder, rows = made
    epoch(recorder, [1.0, 2.0, 6.0], number=4, validation=task(0.25, [1.0, 4.0]))
    (row,) = rows
    assert row.pop("seconds") >= 0
    assert row == {
        "epoch": 5,
        "step": 3,
        "lr": 0.5,
        "train/total": 3.0,
        "train/edges": 1.5,
        "val/mIoU": 0.25,
        "val/aAcc": 0.75,
        "val/mAcc": None,
        "val/loss": 2.5,
    }
    assert [{**line, "seconds": 0} for line in written(tmp_path)] == [{**row, "seconds": 0}]


def test_an_epoch_does_not_count_what_was_before_it(made, tmp_path):
    recorder, rows = made
    epoch(recorder, [1.0, 3.0], number=0, validation=task(0.5, [1.0]))
    epoch(recorder, [10.0], number=1)
    assert [row["train/total"] for row in rows] == [2.0, 10.0]
    assert rows[1]["val/mIoU"] is rows[1]["val/loss"] is None
    with (tmp_path / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["epoch"] for row in table] == ["1", "2"]
    assert [row["val/mIoU"] for row in table] == ["0.5", ""]
    assert written(tmp_path) == rows == recorder.rows


def test_a_score_that_does_not_exist_and_a_validation_without_losses_are_none(made):
    recorder, rows = made
    validation = task(math.nan)
    epoch(recorder, [1.0], validation=validation)
    assert (rows[0]["val/mIoU"], rows[0]["val/loss"]) == (None, None)


def test_losses_of_a_validation_are_taken_once(made):
    recorder, _ = made
    validation = task(0.5, [1.0, 2.0])
    epoch(recorder, [1.0], validation=validation)
    assert validation.validation_losses == []


def test_other_processes_keep_the_row_but_write_none(made, tmp_path):
    recorder, rows = made
    epoch(recorder, [1.0], is_first=False)
    assert rows == []
    assert len(recorder.rows) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_named_with_its_place(made, value):
    recorder, rows = made
    with pytest.raises(
        TrainingError, match=r"\(total, edges\) in epoch 3, step 2; lower optim\.lr"
    ):
        epoch(recorder, [1.0, value, 1.0], number=2)
    assert rows == []


def test_on_a_gpu_the_loss_is_looked_at_every_twenty_steps(made):
    recorder, _ = made
    gpu = SimpleNamespace(device=torch.device("cuda"))
    outputs = {"total": torch.tensor(math.nan)}
    for index in range(19):
        recorder.on_train_batch_end(trainer(), gpu, outputs, None, index)
    with pytest.raises(TrainingError, match=r"\(total\) in epoch 1, step 20;"):
        recorder.on_train_batch_end(trainer(), gpu, outputs, None, 19)


def test_the_state_continues_an_epoch_under_way(made, tmp_path):
    recorder, _ = made
    epoch(recorder, [4.0])
    for index, total in enumerate((1.0, 2.0)):
        outputs = {"total": torch.tensor(total), "edges": torch.tensor(0.0)}
        recorder.on_train_batch_end(trainer(epoch=1), task(), outputs, None, index)
    rows = []
    other = Recorder(RunDirectory(tmp_path), tensorboard=False, on_row=rows.append)
    other.load_state_dict(recorder.state_dict())
    epoch(other, [6.0], number=1)
    assert [row["train/total"] for row in other.rows] == [4.0, 3.0]
    assert [row["epoch"] for row in rows] == [2]


def test_seconds_of_an_earlier_process_are_added_within_an_epoch_alone(made):
    recorder, rows = made
    assert recorder.state_dict()["seconds"] == 0.0
    recorder.load_state_dict({**recorder.state_dict(), "seconds": 100.0})
    epoch(recorder, [1.0], number=0)
    epoch(recorder, [1.0], number=1)
    assert 100 <= rows[0]["seconds"] < 150
    assert rows[1]["seconds"] < 50
