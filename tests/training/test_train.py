"""Whole trainings, as a user of the library starts them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.squares import SIZE, write_squares

from segloom.config import RunConfig
from segloom.config.data import DataConfig
from segloom.config.load import dump_config, read_config
from segloom.data import DATASETS, DatasetSource
from segloom.data.sets.folder import read as read_folder
from segloom.data_check.known import read_known
from segloom.errors import ConfigError, DataError, TrainingError
from segloom.models.weights.checkpoint import from_pretrained
from segloom.training import TrainingStep, train
from segloom.training.distributed.processes import run_processes
from segloom.training.fit import explain_failure
from segloom.types import LabelSet


def rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_training_learns_and_leaves_what_it_should(
    tiny: Callable[..., RunConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tiny(
        train__epochs=4,
        train__precision="bf16",
        train__tensorboard=True,
        loss__terms={"cross_entropy": 1.0, "dice": 0.5},
        loss__class_weights="log",
        data__augment={"scale": (1, 1), "jitter": 0, "blur": 0},
    )
    flags = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    result = train(config)
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == flags
    assert result.miou is not None
    assert result.miou > 0.8
    run = tmp_path / "run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]  # no lightning_logs
    assert sorted(path.name for path in run.glob("[!.]*")) == sorted(
        [
            "checkpoints",
            "command.txt",
            "config.yaml",
            "environment.json",
            "log.txt",
            "metrics.csv",
            "metrics.jsonl",
            "tensorboard",
        ]
    )
    assert read_config(run / "config.yaml") == config
    history = rows(run)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert [row["step"] for row in history] == [4, 8, 12, 16]
    with (run / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert float(table[-1]["val/mIoU"]) == history[-1]["val/mIoU"]
    expected = history[0]["train/cross_entropy"] + 0.5 * history[0]["train/dice"]
    assert history[0]["train/total"] == pytest.approx(expected)
    assert history[-1]["train/total"] < history[0]["train/total"]
    assert result.miou == max(row["val/mIoU"] for row in history)
    model = from_pretrained(run)
    with torch.no_grad():
        assert model(torch.rand(1, 3, 50, 70)).shape == (1, 2, 50, 70)
    assert len((run / "log.txt").read_text().splitlines()) == 5
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


def test_progress_is_a_line_per_epoch_where_there_is_no_terminal(
    tiny: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny(train__validate_every=3), show_progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    first, second, third = printed.err.splitlines()
    assert first.startswith("fpn + tu-test_resnet: ")
    assert "the last image of every epoch" in first
    assert second.startswith("epoch 1/2  loss ")
    assert "val mIoU -" in second
    assert second.endswith(" left")
    assert "val mIoU 0." in third  # the last epoch is validated whatever validate_every says


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny(train__seed=seed, train__epochs=1, train__out=tmp_path / name))
    a, b, c = (load_file(tmp_path / run / "checkpoints/last/model.safetensors") for run in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_the_average_is_what_is_saved_and_the_weights_go_on(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    train(tiny(train__epochs=1, train__ema=0.99, train__out=tmp_path / "ema"))
    train(tiny(train__epochs=1, train__out=tmp_path / "raw"))
    state = torch.load(tmp_path / "ema/checkpoints/trainer.ckpt", weights_only=True)
    saved = load_file(tmp_path / "ema/checkpoints/last/model.safetensors")
    raw = load_file(tmp_path / "raw/checkpoints/last/model.safetensors")
    average = state["callbacks"]["WeightAverage"]["average"]
    for name, value in saved.items():
        assert torch.equal(value, average[name])
        assert torch.equal(raw[name], state["state_dict"][f"step.model.{name}"])
    assert any(not torch.equal(saved[name], raw[name]) for name in raw)


def test_accumulated_parts_take_the_step_of_the_whole_batch(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    # Nothing that looks at a batch as a whole: no batch norm, the same void in every image.
    options = {
        "model__architecture": "unet",
        "model__encoder_name": "tu-test_convnext",
        "model__options": {"decoder_use_norm": False},
        "optim__name": "sgd",
        "optim__momentum": 0.0,
        "data__batch_size": 4,
        "data__augment": {"scale": (1, 1)},
        "train__epochs": 1,
        "train__steps_per_epoch": 2,
    }
    train(tiny(**options, train__out=tmp_path / "whole"))
    train(tiny(**options, train__out=tmp_path / "parts", train__accumulate=2))
    whole, parts = (
        load_file(tmp_path / run / "checkpoints/last/model.safetensors")
        for run in ("whole", "parts")
    )
    assert [row["step"] for row in rows(tmp_path / "parts")] == [2]
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-4, atol=1e-6)


def test_training_stops_early_when_nothing_gets_better(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    options = {"optim__lr": 1e-12, "train__epochs": 9, "train__early_stop": 2}
    frozen = {"optim__name": "sgd", "model__encoder_name": "tu-test_convnext"}
    norm = {"model__architecture": "unet", "model__options": {"decoder_use_norm": False}}
    result = train(tiny(**options, **frozen, **norm))
    assert (result.epochs, result.best_epoch) == (3, 1)
    again = train(tiny(**options, **frozen, **norm, train__resume=True))
    assert (again.was_finished, again.epochs) == (True, 3)


def test_a_loss_that_is_no_number_stops_the_training_and_saves_nothing(
    tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = TrainingStep.forward, []

    def broken(self: TrainingStep, *batch: torch.Tensor) -> dict[str, torch.Tensor]:
        calls.append(None)
        values = forward(self, *batch)
        return (
            {name: value * np.nan for name, value in values.items()} if len(calls) > 5 else values
        )

    monkeypatch.setattr(TrainingStep, "forward", broken)
    with pytest.raises(TrainingError, match=r"\(cross_entropy, total\) in epoch 2, step 2; lower"):
        train(tiny())
    state = torch.load(tmp_path / "run/checkpoints/trainer.ckpt", weights_only=True)
    assert state["callbacks"]["Saver"]["position"] == [1, 0]
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values())


def test_a_batch_of_one_is_refused_before_the_first_step_where_it_cannot_work(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="deeplabv3 cannot train on a batch of one image of 32 x"):
        train(
            tiny(
                data__batch_size=1, model__architecture="deeplabv3", model__encoder_name="resnet18"
            )
        )
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_batches_of_one_work_where_they_can(tiny: Callable[..., RunConfig]) -> None:
    result = train(tiny(data__batch_size=1, data__crop=(64, 64), train__epochs=1))
    assert result.epochs == 1


def test_what_the_machine_lacks_is_said_before_anything_is_written(
    tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        train(tiny(train__precision="fp16"))
    with pytest.raises(ConfigError, match="torch sees none"):
        train(tiny(train__accelerator="gpu"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"train\.devices is 2, but there are 1 GPUs"):
        train(tiny(train__accelerator="auto", train__devices=2))
    assert not (tmp_path / "run").exists()


def test_one_class_leaves_nothing_to_learn(tiny: Callable[..., RunConfig]) -> None:
    config = tiny(data__classes=("all",), data__label_map={"0": 0, "1": 0})
    with pytest.raises(ConfigError, match=r"a single class \(all\)"):
        train(config)


@pytest.fixture
def other_names(monkeypatch: pytest.MonkeyPatch) -> str:
    """A reader of squares that names the second class of each split after the split."""

    def read(config: DataConfig, split: str) -> DatasetSource:
        source = read_folder(config, split)
        labels = LabelSet(("ground", f"{split} square"), ((0, 0, 0), (9, 9, 9)))
        return replace(source, labels=labels, mask_format="index")

    monkeypatch.setitem(sys.modules, "plugin", SimpleNamespace(read=read))
    monkeypatch.setitem(DATASETS, "other_names", "plugin:read")
    return "other_names"


def test_validation_with_other_classes_than_training_is_refused(
    tiny: Callable[..., RunConfig], other_names: str
) -> None:
    config = tiny(data__name=other_names, data__classes=())
    message = r"class 1 is 'train square' in train, but 'val square' in val; .* data\.classes"
    with pytest.raises(DataError, match=message):
        train(config)
    (finding,) = (f for f in read_known(config.data, None, None).findings if f.level == "problem")
    assert finding.kind == "classes"
    assert "'train square' in train, but 'val square' in val" in finding.message


def test_validation_without_a_labelled_pixel_is_refused(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    write_squares(tmp_path / "data", {"train": 4})
    write_squares(tmp_path / "data", {"val": 2}, void_rows=SIZE)
    with pytest.raises(DataError, match=r"val/masks/0\.png and all .* split val .*; check data\."):
        train(tiny(data__root=tmp_path / "data"))


def test_operations_without_a_repeatable_form_are_explained() -> None:
    error = RuntimeError("adaptive_avg_pool2d does not have a deterministic implementation. But")
    with pytest.raises(TrainingError, match=r"no repeatable form .* train\.deterministic False"):
        explain_failure(error)
    with pytest.raises(TrainingError, match=r"raise train\.accumulate"):
        explain_failure(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    explain_failure(RuntimeError("a bug keeps its traceback"))


@pytest.mark.slow
def test_an_error_in_one_of_several_processes_reaches_the_user(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(
        dump_config(tiny(data__root=tmp_path / "nowhere", train__devices=2))
    )
    with pytest.raises(Exception, match="nowhere") as caught:
        run_processes(tmp_path, 2, show_progress=False)
    assert type(caught.value).__name__ == "DataError"
