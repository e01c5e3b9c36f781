"""Options that follow from the data: crop, batch size and epochs where nobody gave them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.squares import write_squares

import segloom
from segloom.cli.main import main
from segloom.config import RunConfig
from segloom.config.data import OPEN_CROP
from segloom.config.edges import EdgeTrainingConfig
from segloom.config.load import dump_config, load_run_config, read_config
from segloom.data import build_dataset
from segloom.errors import ConfigError
from segloom.training import from_data, train
from segloom.training.from_data import choose_options, image_sizes, open_options

GIB = 2**30
ALL = {"data.crop", "data.batch_size", "train.epochs"}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Make images of a height and width, of which only the headers are looked at."""

    def make(number: int, size: tuple[int, int]) -> Path:
        root = tmp_path / f"{number}-{size[0]}"
        for split, count in (("train", number), ("val", 1)):
            for kind in ("images", "masks"):
                files = [root / split / kind / f"{index}.png" for index in range(count)]
                files[0].parent.mkdir(parents=True)
                Image.new("L", (size[1], size[0])).save(files[0])
                for file in files[1:]:
                    file.hardlink_to(files[0])
        return root

    return make


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a machine without a GPU and with 16 GiB."""
    on_cpu(monkeypatch, 16 * GIB)


def on_cpu(monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    monkeypatch.setattr(from_data, "_ask_driver", lambda fact: [])
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": memory // 4096}
    monkeypatch.setattr(from_data.os, "sysconf", pages.__getitem__)


def chosen(root: Path, **options: object) -> tuple[object, int, int]:
    config = choose_options(load_run_config("folder", data_root=root, **options))
    return config.data.crop, config.data.batch_size, config.train.epochs


def test_the_recipe_leaves_them_open_and_plain_options_do_not() -> None:
    assert open_options(load_run_config("folder")) == ALL
    assert open_options(RunConfig()) == set()


@pytest.mark.parametrize(
    ("number", "size", "expected"),
    [
        (70, (256, 256), ((256, 256), 8, 57)),  # the sample of nuclei
        (367, (360, 480), ((288, 384), 8, 35)),  # CamVid at 480x360
        (5, (192, 256), ((192, 256), 2, 100)),
        (300, (40, 40), ((64, 64), 16, 37)),  # padded: a map of the deepest level needs 2x2
        (300, (900, 1200), ((288, 384), 8, 37)),
    ],
)
def test_crop_batch_and_epochs_follow_from_sizes_and_numbers(
    folder: Callable[..., Path],
    number: int,
    size: tuple[int, int],
    expected: tuple[object, int, int],
) -> None:
    assert chosen(folder(number, size)) == expected


def test_a_gpu_takes_larger_crops_and_little_memory_smaller_batches(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(130, (600, 600))
    assert chosen(root)[:2] == ((320, 320), 8)
    on_cpu(monkeypatch, 2 * GIB)
    assert chosen(root)[:2] == ((320, 320), 2)
    facts = {"memory.total": [40 * 1024.0], "compute_cap": [8.0]}
    monkeypatch.setattr(from_data, "_ask_driver", facts.__getitem__)
    assert chosen(root)[:2] == ((512, 512), 16)
    assert chosen(root, train_accelerator="cpu")[:2] == ((320, 320), 2)


def test_what_is_given_stays(folder: Callable[..., Path]) -> None:
    root = folder(20, (64, 64))
    assert chosen(root, crop=(32, 32), batch_size=8, epochs=30) == ((32, 32), 8, 30)
    assert chosen(root, crop=None)[0] is None  # whole images
    assert chosen(root, epochs=1)[2] == 1


def test_the_batch_can_be_divided(folder: Callable[..., Path]) -> None:
    root = folder(40, (64, 64))
    assert chosen(root)[1] == 4
    assert chosen(root, train_accumulate=3)[1] == 6


@pytest.mark.parametrize(
    ("number", "epochs"), [(6, 100), (60, 60), (600, 30), (6000, 15), (600_000, 10)]
)
def test_ten_times_the_images_are_passed_half_as_often(number: int, epochs: int) -> None:
    assert from_data._epochs(number) == epochs


def test_every_choice_is_said_with_its_reason(folder: Callable[..., Path]) -> None:
    said: list[str] = []
    choose_options(load_run_config("folder", data_root=folder(16, (96, 64))), said.append)
    assert said[1:] == [  # the first is of the precision
        "data.crop 96 64: the training images are 64x96 in the median",
        "data.batch_size 2: 16 training images, 16 GiB of memory of the machine",
        "train.epochs 89: 16 training images",
    ]


def test_an_image_that_exif_turns_counts_as_it_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "b.npy").write_bytes(b"no picture")
    assert image_sizes([tmp_path / "a.jpg", tmp_path / "b.npy"], 9) == [(40, 20)]


def test_arrays_in_memory_have_sizes_too() -> None:
    images, masks = np.zeros((9, 96, 64, 3), np.uint8), np.zeros((9, 96, 64), np.uint8)
    masks[:, 40:] = 1
    pairs = (images, masks)
    data = segloom.in_memory(train=pairs, val=pairs, classes=("a", "b"), name="from_data")
    config = choose_options(load_run_config("folder", data=data))
    assert (config.data.crop, config.data.batch_size) == ((96, 64), 2)


def test_edges_and_data_sets_alone_do_not_take_what_is_open(folder: Callable[..., Path]) -> None:
    config = load_run_config("folder", data_root=folder(3, (48, 64)), data_cache=False)
    options = {"mask_format": "index", "classes": ("a", "b")}
    data = config.override(data=options).data
    assert data.crop == OPEN_CROP
    assert build_dataset(data, "train", augment=True)[0]["image"].shape == (3, 48, 64)
    with pytest.raises(ValueError, match="HED needs a batch_size"):
        EdgeTrainingConfig(weights=Path("w"), out=Path("o"), data=data)


def test_a_training_stores_what_it_chose_and_a_resumed_one_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_squares(tmp_path / "data", {"train": 9, "val": 2}, void_rows=0)
    run = tmp_path / "run"
    words = ["train", "folder", "--root", str(tmp_path / "data"), "--out", str(run)]
    words += ["--model.encoder-weights", "none", "--encoder", "tu-test_resnet", "--arch", "fpn"]
    words += ["--data.classes", "ground", "square", "--train.accelerator", "cpu"]
    words += ["--data.cache-dir", str(tmp_path / "cache"), "--train.precision", "fp32"]
    assert main([*words, "--epochs", "1"]) == 0
    text = capsys.readouterr().err
    assert "data.crop 64 64: the training images are 32x32 in the median\n" in text
    assert "data.batch_size 2: 9 training images" in text
    assert "train.epochs" not in text
    stored = read_config(run / "config.yaml")
    assert (stored.data.crop, stored.data.batch_size, stored.train.epochs) == ((64, 64), 2, 1)
    # A run of an earlier version, whose numbers nobody would choose now.
    earlier = (run / "config.yaml").read_text().replace("batch_size: 2", "batch_size: 5")
    (run / "config.yaml").write_text(earlier)
    assert main([*words, "--train.resume"]) == 0
    assert "was finished already: 1 epochs" in capsys.readouterr().out
    changed = read_config(run / "config.yaml").override(batch_size=3, train_resume=True)
    with pytest.raises(ConfigError, match="batch_size"):
        train(changed)


def test_data_check_writes_them_into_the_configuration(
    tmp_path: Path,
) -> None:
    root = tmp_path / "squares"
    write_squares(root, {"train": 9, "val": 2}, void_rows=0)
    out = tmp_path / "mine.yaml"
    assert main(["data", "check", str(root), "--out", str(out)]) == 0
    config = load_run_config(out)
    assert (config.data.crop, config.data.batch_size, config.train.epochs) == ((64, 64), 2, 100)


@pytest.mark.parametrize(
    ("capabilities", "accelerator", "processor_has_it", "precision"),
    [
        ([9.0, 8.0], "auto", False, "bf16"),
        ([9.0, 7.5], "auto", True, "fp32"),  # the slowest GPU decides
        ([9.0], "cpu", False, "fp32"),
        ([], "auto", True, "bf16"),
        ([], "auto", False, "fp32"),
    ],
)
def test_the_precision_follows_from_the_machine(
    monkeypatch: pytest.MonkeyPatch,
    capabilities: list[float],
    accelerator: str,
    processor_has_it: bool,
    precision: str,
) -> None:
    monkeypatch.setattr(from_data, "_ask_driver", lambda fact: capabilities)
    monkeypatch.setattr(from_data, "bfloat16_is_fast", lambda: processor_has_it)
    said: list[str] = []
    config = load_run_config("camvid", train_accelerator=accelerator)  # no data are needed for it
    assert choose_options(config, said.append).train.precision == precision
    assert said[0].startswith(f"train.precision {precision}: the ")


def test_a_given_precision_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_data, "bfloat16_is_fast", lambda: False)
    config = load_run_config("camvid", train_precision="bf16")
    assert choose_options(config) == config


def test_a_resumed_run_keeps_its_precision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(from_data, "bfloat16_is_fast", lambda: False)
    begun = load_run_config("camvid", train_precision="bf16", train_out=tmp_path)
    (tmp_path / "config.yaml").write_text(dump_config(begun))
    config = load_run_config("camvid", train_out=tmp_path, train_resume=True)
    assert choose_options(config).train.precision == "bf16"
