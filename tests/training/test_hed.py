"""HED trains with its authors' rates, from the photograph, and goes on exactly where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from segloom.cli.main import main
from segloom.config.data import AugmentConfig, DataConfig
from segloom.config.edges import EdgeTrainingConfig
from segloom.enhancements.hed.network import HedNetwork
from segloom.errors import ConfigError, TrainingError
from segloom.training.hed import hed_parameter_groups, label_boundaries, train_edges

SIZE = 24


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright squares on a dark ground, with their label maps and the outlines as edge maps."""
    root, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    for kind in ("images", "masks", "edges"):
        (root / "train" / kind).mkdir(parents=True)
    for index in range(3):
        mask = np.zeros((SIZE, SIZE), np.uint8)
        top, left = rng.integers(4, SIZE // 2, 2)
        mask[top : top + 8, left : left + 8] = 1
        image = rng.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8) + mask[..., None] * 120
        edges = label_boundaries(torch.from_numpy(mask)[None])[0].numpy() * np.uint8(255)
        for kind, array in (("images", image.astype(np.uint8)), ("masks", mask), ("edges", edges)):
            Image.fromarray(array).save(root / "train" / kind / f"{index}.png")
    torch.manual_seed(0)
    save_file(HedNetwork().state_dict(), root / "start.safetensors")
    return root


def configure(root: Path, out: Path, **options: Any) -> EdgeTrainingConfig:
    data = {
        "root": root,
        "classes": ("ground", "square"),
        "cache": False,
        "batch_size": 2,
        "augment": AugmentConfig(scale=(1, 1), jitter=0.1, blur=0),
        **options.pop("data", {}),
    }
    values = {"weights": root / "start.safetensors", "out": out, "geometry": "simple", "steps": 4}
    values |= {"save_every": 2, "lr": 1e-6, "device": "cpu"}
    return EdgeTrainingConfig(data=DataConfig(**data), **{**values, **options})


def test_the_loss_falls_and_the_network_can_be_used(squares: Path, tmp_path: Path) -> None:
    result = train_edges(configure(squares, tmp_path, steps=8))
    losses = [row["loss"] for row in result.rows]
    assert losses == sorted(losses, reverse=True)
    assert (tmp_path / "loss.csv").read_text().startswith("step,loss,fused\n2,")
    words = ["--weights", str(result.weights), "--in", str(squares / "train" / "images")]
    assert main(["edges", *words, "--out", str(tmp_path / "edges")]) == 0


def test_edge_maps_train_as_the_borders_that_they_show(squares: Path, tmp_path: Path) -> None:
    """Both kinds of target say the same here, so both trainings are the same."""
    data = {"masks": "{split}/edges", "classes": ()}
    from_maps = train_edges(configure(squares, tmp_path / "a", steps=1, target="edges", data=data))
    from_labels = train_edges(configure(squares, tmp_path / "b", steps=1))
    assert from_maps.rows == from_labels.rows


def test_a_stopped_training_goes_on_to_the_same_result(squares: Path, tmp_path: Path) -> None:
    train_edges(configure(squares, tmp_path / "whole", lr_drop=3))
    seen: list[int] = []

    def stop(step: int, loss: float) -> None:
        seen.append(step)
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_edges(configure(squares, tmp_path / "parts", lr_drop=3), progress=stop)
    result = train_edges(
        configure(squares, tmp_path / "parts", lr_drop=3), progress=lambda s, _: seen.append(s)
    )
    assert seen == [1, 2, 3, 3, 4]
    assert [row["step"] for row in result.rows] == [2, 4]
    whole = load_file(tmp_path / "whole" / "hed.safetensors")
    for name, value in load_file(result.weights).items():
        assert torch.equal(value, whole[name]), name
    with pytest.raises(ConfigError, match="holds a training with other options"):
        train_edges(configure(squares, tmp_path / "parts", lr_drop=4))
    (tmp_path / "parts" / "state.pt").write_bytes(b"cut")
    with pytest.raises(ConfigError, match=r"state\.pt is damaged"):
        train_edges(configure(squares, tmp_path / "parts", lr_drop=3))


def test_rates_and_decay_are_the_authors(squares: Path, tmp_path: Path) -> None:
    network = HedNetwork()
    config = configure(squares, tmp_path)
    found = {}
    for group in hed_parameter_groups(network, config):
        for parameter in group["params"]:
            found[parameter] = (group["factor"], group["weight_decay"])
    expected = {"conv1_1": 1, "conv4_3": 1, "conv5_1": 100, "conv5_3": 100}
    expected |= {"score_dsn1": 0.01, "score_dsn5": 0.01, "score_final": 0.001}
    for layer, rate in expected.items():
        module = network.get_submodule(layer)
        assert found[module.weight] == pytest.approx((rate, 2e-4)), layer
        assert found[module.bias] == pytest.approx((2 * rate, 0)), layer
    assert len(found) == len(list(network.parameters()))


def test_borders_are_two_pixels_wide_and_void_has_none() -> None:
    mask = torch.zeros(1, 3, 8, dtype=torch.uint8)
    mask[..., 3:] = 2
    mask[..., 6:] = 255
    expected = [0, 0, 1, 1, 0, 0, 255, 255]
    assert label_boundaries(mask)[0].tolist() == [expected] * 3


def test_a_loss_that_is_no_number_stops_with_the_mend(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no longer a number at step .*; lower lr .now 1e.30"):
        train_edges(configure(squares, tmp_path, lr=1e30))
    assert not (tmp_path / "hed.safetensors").exists()


def test_the_verb_trains(squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--weights", str(squares / "start.safetensors"), "--out", str(tmp_path / "run")]
    words += ["--data.root", str(squares), "--data.classes", "ground", "square", "--steps", "1"]
    words += ["--data.batch-size", "1", "--data.cache", "False", "--geometry", "simple"]
    assert main(["edges", "train", *words]) == 0
    output, errors = capsys.readouterr()
    assert "training HED: 1 steps of 1 images each, saved to " in errors
    assert "step 1: loss " in output
    assert f"{tmp_path / 'run' / 'hed.safetensors'} is trained" in output
    words[words.index("--steps") + 1] = "2"
    assert main(["edges", "train", *words]) == 0
    assert "training HED: 2 steps of 1 images each" in (errors := capsys.readouterr().err)
    assert errors.endswith("every 200 steps; 1 are done already\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--weights": "nope"}, "nope"),
        ({"--weights": "resnet.safetensors"}, "resnet.safetensors"),
        ({"--data.root": "nowhere"}, "nowhere"),
        ({"--data.classes": "ground"}, "outside the 1 classes"),
    ],
)
def test_nothing_is_announced_before_it_is_accepted(
    change: dict[str, str],
    message: str,
    squares: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"layer1.0.conv1.weight": torch.zeros(64, 64, 3, 3)}, "resnet.safetensors")
    words = {"--weights": str(squares / "start.safetensors"), "--out": "run", "--steps": "1"}
    words |= {"--data.root": str(squares), "--data.classes": "ground square"} | change
    pairs = [word for name, value in words.items() for word in (name, *value.split())]
    assert main(["edges", "train", *pairs]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert "training HED" not in errors


@pytest.mark.slow
def test_the_loss_falls_on_borders_of_a_street_data_set_from_vgg16(
    shared: Path, tmp_path: Path
) -> None:
    weights = shared / "data" / "weights" / "vgg16_features.safetensors"
    if not weights.is_file():
        pytest.skip(f"no VGG16 at {weights}")
    camvid = shared / "data" / "camvid"
    for mask in sorted((camvid / "trainannot").iterdir())[::60][:3]:  # whole images, all in a step
        for folder, kind, method in (("train", "images", 2), ("trainannot", "masks", 0)):
            (file,) = (camvid / folder).glob(f"{mask.stem}.*")
            (tmp_path / "data" / "train" / kind).mkdir(parents=True, exist_ok=True)
            with Image.open(file) as image:
                small = image.resize((96, 72), Image.Resampling(method))
                small.save(tmp_path / "data" / "train" / kind / f"{mask.stem}.png")
    still = AugmentConfig(scale=(1, 1), flip=0, jitter=0, blur=0)
    names = tuple(f"class {index}" for index in range(12))
    data = {"classes": names, "augment": still, "batch_size": 3}
    config = configure(
        tmp_path / "data",
        tmp_path / "run",
        weights=weights,
        steps=12,
        save_every=1,
        lr=4e-6,
        data=data,
    )
    losses = [row["loss"] for row in train_edges(config).rows]
    assert losses[-1] < 0.98 * losses[0], losses
