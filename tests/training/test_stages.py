"""A training in stages: each with its own size, and exact to resume in any of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from segloom.cli.options import parse
from segloom.config import RunConfig, TrainConfig
from segloom.config.load import dump_config, load_run_config, read_config
from segloom.errors import ConfigError
from segloom.training import TrainingStep, TrainingStopped, train
from segloom.training.stages import divide_stages, rate_function

STAGED: dict[str, Any] = {
    "train__epochs": 4,
    "train__ema": 0.9,
    "train__stages": (
        {"crop": (16, 16), "batch_size": 4, "scale": (0.5, 0.5)},
        {"crop": (32, 32), "batch_size": 2},
    ),
}


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Record the batches of every training step."""
    forward, seen = TrainingStep.forward, []

    def patched(self: TrainingStep, image: torch.Tensor, mask: torch.Tensor) -> Any:
        seen.append((len(image), *image.shape[-2:]))
        return forward(self, image, mask)

    monkeypatch.setattr(TrainingStep, "forward", patched)
    return seen


def history(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize(
    ("epochs", "stages", "lengths"),
    [
        (7, [None, None, None], (3, 2, 2)),
        (7, [None, 3, None], (2, 3, 2)),
        (5, [1, 4], (1, 4)),
        (5, [], (5,)),
    ],
)
def test_stages_share_the_epochs(epochs: int, stages: list[Any], lengths: tuple[int, ...]) -> None:
    options = [{"epochs": length} for length in stages]
    assert TrainConfig(epochs=epochs, stages=options).stage_lengths() == lengths


@pytest.mark.parametrize(
    ("epochs", "stages", "sentence"),
    [
        (5, [{"epochs": 2}, {"epochs": 2}], "epochs is 5, but the 2 stages take 4; change either"),
        (1, [{}, {}], "epochs is 1, but the 2 stages take at least 2"),
        (5, [{"epochs": 5}, {}], "the 2 stages take at least 6"),
        (5, [{"epochs": 0}], "greater than or equal to 1"),
        (5, [{"crop": (0, 4)}], "at least one pixel"),
        (5, [{"scale": (2, 1)}], "scale goes from low to high"),
        (5, [{"batch_size": 0}], "greater than or equal to 1"),
        (5, [{"croop": (4, 4)}], "Extra inputs are not permitted"),
    ],
)
def test_stages_that_cannot_be_are_refused(epochs: int, stages: Any, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TrainConfig(epochs=epochs, stages=stages)


def test_every_stage_trains_at_its_size_with_its_batch(
    tiny: Callable[..., RunConfig],
    shapes: list[tuple[int, ...]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tiny(**STAGED, data__batch_size=8)
    train(config, show_progress=True)
    assert shapes[:4] == [(4, 16, 16)] * 4  # nine images; the last one of an epoch is left out
    assert shapes[4:] == [(2, 32, 32)] * 8
    assert [row["step"] for row in history(tmp_path / "run")] == [2, 4, 8, 12]
    assert all(row["val/mIoU"] is not None for row in history(tmp_path / "run"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("stage 1/2, fpn + tu-test_resnet: ")
    assert "2 steps of 4 images per epoch, fp32, " in lines[0]
    assert "crops of 16 x 16, scale 0.5 to 0.5" in lines[0]
    assert lines[1].startswith("stage 1/2, epoch 1/4  loss ")
    assert lines[1].endswith(" left")
    assert lines[3].startswith("stage 2/2, fpn + tu-test_resnet: ")
    assert [line.split("  ")[0] for line in lines[4:]] == [
        "stage 2/2, epoch 3/4",
        "stage 2/2, epoch 4/4",
    ]
    assert read_config(tmp_path / "run" / "config.yaml") == config


@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_run_stopped_in_any_stage_resumes_bit_equal(
    step: int,
    tiny: Callable[..., RunConfig],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    shapes: list[tuple[int, ...]],
    unbroken: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "run" not in unbroken:
        unbroken["run"] = tmp_path_factory.mktemp("staged") / "run"
        train(tiny(**STAGED, train__out=unbroken["run"]))
    forward, calls = TrainingStep.forward, []

    def patched(self: TrainingStep, *batch: torch.Tensor) -> Any:
        calls.append(None)
        if len(calls) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, *batch)

    monkeypatch.setattr(TrainingStep, "forward", patched)
    with pytest.raises(TrainingStopped):
        train(tiny(**STAGED))
    train(tiny(**STAGED, train__resume=True))
    assert len(calls) == 12
    for which in ("best", "last"):
        expected, actual = (
            load_file(run / "checkpoints" / which / "model.safetensors")
            for run in (unbroken["run"], tmp_path / "run")
        )
        assert all(torch.equal(expected[name], actual[name]) for name in expected), which
    assert history(unbroken["run"]) == history(tmp_path / "run")


@pytest.fixture(scope="module")
def unbroken() -> dict[str, Path]:
    return {}


def test_the_schedule_and_the_moments_begin_anew_with_every_stage(
    tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(**STAGED, optim__schedule="poly", optim__power=1.0)
    factor = rate_function(divide_stages(config), num_samples=9)
    expected = [1, 0.75, 0.5, 0.25, *(1 - step / 8 for step in range(8)), 0]
    assert [factor(step) for step in range(13)] == pytest.approx(expected)
    ages: list[float] = []
    step = torch.optim.AdamW.step

    def counted(self: torch.optim.AdamW, *arguments: Any, **options: Any) -> Any:
        done = step(self, *arguments, **options)
        ages.append(max(float(state["step"]) for state in self.state.values()))
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    train(config)
    assert ages == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]
    # The rate that a row records is that of its epoch's last step.
    rates = [row["lr"] / config.optim.lr for row in history(tmp_path / "run")]
    assert rates == pytest.approx([0.75, 0.25, 1 - 3 / 8, 1 - 7 / 8])


def test_an_early_stop_ends_the_stages_too(tiny: Callable[..., RunConfig]) -> None:
    still = {"optim__lr": 1e-12, "optim__name": "sgd", "train__early_stop": 1}
    # Nothing moves but running statistics, which this network does not have.
    network = {
        "model__architecture": "unet",
        "model__encoder_name": "tu-test_convnext",
        "model__options": {"decoder_use_norm": False},
    }
    stages = {**STAGED, "train__epochs": 6}
    result = train(tiny(**stages, **still, **network))
    assert result.epochs == 2
    again = train(tiny(**stages, **still, **network, train__resume=True))
    assert (again.epochs, again.was_finished) == (2, True)


def test_the_length_of_a_staged_run_stays(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(dump_config(tiny(**STAGED)))
    longer = tiny(**{**STAGED, "train__epochs": 6}, train__resume=True)
    with pytest.raises(ConfigError, match=r"other options: train\.epochs \(was 4, is 6\)"):
        train(longer)


def test_stages_of_a_recipe_can_be_changed_on_the_command_line() -> None:
    recipe = load_run_config("dlse")
    sizes = [(stage.crop, stage.batch_size) for stage in recipe.train.stages]
    assert sizes == [((128, 224), 16), ((256, 448), 8), ((512, 912), 4)]
    words = ["--train.stages.0.crop", "64", "96", "--train.epochs", "9"]
    changed = parse(RunConfig, words, verb="train dlse", default=recipe)
    assert changed.train.stages[0].crop == (64, 96)
    assert changed.train.stage_lengths() == (3, 3, 3)
    assert divide_stages(changed)[2].config.data.augment.scale == (0.5, 0.5)
    with pytest.raises(ConfigError, match="epochs is 2, but the 3 stages take at least 3"):
        parse(RunConfig, ["--train.epochs", "2"], verb="train dlse", default=recipe)
