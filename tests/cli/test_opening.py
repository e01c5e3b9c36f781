"""What `segloom train` says and settles before torch is loaded, and what it says at the end."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from support.squares import write_squares

from segloom.cli.main import main
from segloom.cli.options import parse
from segloom.cli.train import SHORT
from segloom.config import DataConfig, RunConfig
from segloom.config.load import load_run_config
from segloom.errors import ConfigError, DataError
from segloom.training.callbacks.progress import ProgressDisplay
from segloom.training.opening import describe_data, settle_layout
from segloom.training.stages import divide_stages


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Images and label maps in one folder, told apart by ``_mask``."""
    write_squares(tmp_path / "split", {"train": 12}, void_rows=0)
    folder = tmp_path / "flat"
    folder.mkdir()
    for image in (tmp_path / "split/train/images").iterdir():
        shutil.copy(image, folder / image.name)
    for mask in (tmp_path / "split/train/masks").iterdir():
        shutil.copy(mask, folder / f"{mask.stem}_mask.png")
    return folder


def configured(root: Path, **options: object) -> RunConfig:
    return RunConfig(data=DataConfig(root=root, **options))  # type: ignore[arg-type]


def test_an_unknown_layout_is_recognised_and_named(flat: Path) -> None:
    said: list[str] = []
    config = settle_layout(configured(flat), said.append)
    assert (config.data.mask_ending, config.data.images) == ("_mask", ".")
    assert f"`segloom data check {flat}` tells more" in said[0]


def test_options_that_are_given_are_not_overruled(flat: Path) -> None:
    config = configured(flat, mask_ending="_label")
    assert settle_layout(config, print) is config


def test_the_expected_layout_is_left_alone(squares: Path) -> None:
    config = configured(squares)
    assert settle_layout(config, print) is config


def test_several_masks_per_image_are_recognised_in_the_expected_folders(squares: Path) -> None:
    for mask in sorted(squares.glob("*/masks/*.png")):
        pixels = np.asarray(Image.open(mask)) == 1
        for number, half in enumerate((slice(None, 16), slice(16, None))):
            drawn = np.zeros(pixels.shape, np.uint8)
            drawn[half] = 255 * pixels[half]
            Image.fromarray(drawn).save(mask.with_name(f"{mask.stem}_square_{number}.png"))
        mask.unlink()
    said: list[str] = []
    config = settle_layout(configured(squares), said.append)
    assert (config.data.name, config.data.classes) == ("mask_files", ("background", "square"))
    assert "data.name mask_files" in said[0]


def test_a_folder_without_label_maps_is_refused_with_the_command_that_tells_more(
    tmp_path: Path,
) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="See `segloom data check"):
        settle_layout(configured(tmp_path), print)


def test_a_dozen_flat_images_give_every_split_some(flat: Path) -> None:
    text = describe_data(settle_layout(configured(flat), print))
    assert "train, 1 val images" in text
    assert "2 classes" in text


def test_the_opening_line_counts_images_and_names_size_and_weights(squares: Path) -> None:
    text = describe_data(configured(squares, classes=("ground", "square")))
    assert text.startswith("data: 9 train, 3 val images of 32x32, 2 classes; encoder weights: ")


def test_a_data_set_without_validation_images_is_refused(tmp_path: Path) -> None:
    write_squares(tmp_path, {"train": 3})
    with pytest.raises(DataError, match="no validation images"):
        describe_data(configured(tmp_path, classes=("ground", "square")))


def test_a_missing_folder_is_refused_without_torch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "folder", "--root", str(tmp_path / "no")]) == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("short", SHORT)
def test_a_short_option_is_the_full_one(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"--root": ["x"], "--crop": ["64", "96"], "--arch": ["fpn"], "--lr": ["0.5"]}
    value |= {
        "--license": ["permissive"],
        "--encoder": ["resnet18"],
        "--enhancements": ["afma"],
        "--out": ["y"],
    }
    words = value.get(short, ["3"])
    assert main(["train", "folder", short, *words, "--print-config"]) == 0
    with_short = capsys.readouterr().out
    assert main(["train", "folder", SHORT[short], *words, "--print-config"]) == 0
    assert capsys.readouterr().out == with_short
    assert main(["train", "folder", "--print-config"]) == 0
    assert capsys.readouterr().out != with_short


def test_help_shows_what_matters_and_help_all_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "folder", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(short in text for short in SHORT)
    assert len(text.splitlines()) < 40
    with pytest.raises(SystemExit) as stop:
        main(["train", "folder", "--help-all"])
    assert stop.value.code == 0
    assert "--data.hu-window" in capsys.readouterr().out


def test_a_mistake_on_a_terminal_is_a_plain_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with pytest.raises(ConfigError) as caught:
        parse(RunConfig, ["--train.epoch", "2"], verb="train folder", default=RunConfig())
    assert str(caught.value) == "unknown option '--train.epoch': did you mean '--train.epochs'?"


def test_data_check_writes_a_configuration_that_keeps_the_recipe(
    flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.yaml"
    assert main(["data", "check", str(flat), "--out", str(out)]) == 0
    assert f"next: segloom train {out}" in capsys.readouterr().err
    mine, recipe = load_run_config(out), load_run_config("folder")
    assert (mine.model, mine.loss, mine.optim) == (recipe.model, recipe.loss, recipe.optim)
    assert (mine.data.root, mine.data.mask_ending) == (flat, "_mask")


@pytest.mark.parametrize(("splits", "ends"), [({}, " --split val\n"), ({"test": 2}, "run\n")])
def test_the_next_command_names_a_split_that_exists(
    splits: dict[str, int],
    ends: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_squares(tmp_path / "data", {"train": 3, "val": 2, **splits})
    words = ["--root", str(tmp_path / "data"), "--epochs", "1", "--out", str(tmp_path / "run")]
    words += ["--model.encoder-weights", "none", "--encoder", "tu-test_resnet", "--arch", "fpn"]
    words += ["--data.classes", "ground", "square", "--crop", "32", "32"]
    words += ["--data.cache-dir", str(tmp_path / "cache"), "--train.accelerator", "cpu"]
    assert main(["train", "folder", *words]) == 0
    assert capsys.readouterr().out.endswith(ends)


def test_a_resumed_run_shows_the_best_score_of_all_its_epochs(
    squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = divide_stages(configured(squares))[0]
    text = io.StringIO()
    display = ProgressDisplay(stage, Console(file=text, force_terminal=True, width=140))
    shown: dict[str, str] = {}

    class Bar:
        def update(self, task: object, *, score: str) -> None:
            shown["score"] = score

    monkeypatch.setattr(display, "bar", Bar())
    row = {"epoch": 5, "val/mIoU": 0.694, "train/total": 1.0, "lr": 1e-3, "seconds": 2.0}
    display.show_row(row, 0.7965)
    assert shown["score"] == "0.694 (best 0.796)"
    assert "epoch 5/50  loss 1.0000  val mIoU 0.6940" in text.getvalue()


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    write_squares(tmp_path / "squares", {"train": 9, "val": 3}, void_rows=0)
    return tmp_path / "squares"
