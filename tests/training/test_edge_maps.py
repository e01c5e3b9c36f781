"""Edge maps that were made before, as a further channel: trained, measured and predicted with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from segloom.cli.main import main
from segloom.config import AugmentConfig, DataConfig, LossConfig
from segloom.data import build_dataset, build_loader
from segloom.errors import DataError
from segloom.images.read import read_image
from segloom.inference import Predictor
from segloom.losses import build_losses
from segloom.models import create_model, load_weights
from segloom.models.weights.checkpoint import from_pretrained, save_pretrained
from segloom.training.step import TrainingStep
from segloom.types import LabelSet

SIZE = (40, 48)
LABELS = LabelSet(("ground", "thing"), ((90, 60, 20), (220, 40, 40)))
OPTIONS = {"encoder_name": "tu-test_resnet", "classes": 2, "enhancements": ["hed:source=file"]}


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images whose green channel is also their edge map, so that every change of both shows."""
    root, random = tmp_path_factory.mktemp("edges"), np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for index in range(count):
            image = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            save(root / split / "images" / f"{split}{index}.png", image)
            save(root / split / "edges" / f"{split}{index}.png", image[..., 1])
            mask = (image[..., 0] > 127).astype(np.uint8)
            save(root / split / "masks" / f"{split}{index}.png", mask)
    return root


def data_config(root: Path, edges: str = "{split}/edges", **options: object) -> DataConfig:
    classes = LABELS.classes
    return DataConfig(root=root, edges=edges, classes=classes, cache=False, **options)


def sensitive_model() -> nn.Module:
    """Build a network whose answer depends on the edge map."""
    torch.manual_seed(0)
    model = create_model("fpn", **OPTIONS)
    first = next(m for m in model.encoder.modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        first.weight[:, 3:] = torch.randn_like(first.weight[:, 3:])
    return model.eval()


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("sensitive") / "run"
    save_pretrained(sensitive_model(), run / "checkpoints" / "best", LABELS)
    return run


def test_an_rgb_network_gives_bit_equal_logits_with_any_map(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    plain = create_model("unet", encoder_name="tu-test_resnet", classes=2).eval()
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    model = create_model("unet", **OPTIONS).eval()
    load_weights(model, tmp_path / "plain.safetensors")
    pixels = torch.randint(0, 256, (1, 4, 45, 61), dtype=torch.uint8)
    with torch.no_grad():
        expected = plain(plain.normalize(pixels[:, :3]))
        assert torch.equal(model(model.normalize(pixels)), expected)


def test_a_saved_network_is_the_same_and_the_map_counts(run: Path) -> None:
    model, loaded = sensitive_model(), from_pretrained(run)
    assert loaded.input_channels == 4
    assert loaded.shape.image_channels == 3
    pixels = torch.randint(0, 256, (1, 4, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        logits = model(model.normalize(pixels))
        assert torch.equal(loaded(loaded.normalize(pixels)), logits)
        assert model.run(model.normalize(pixels)).signals["hed"].max() <= 1
        pixels[:, 3] = 0
        assert not torch.equal(model(model.normalize(pixels)), logits)


def test_other_enhancements_see_the_photograph_alone() -> None:
    options = {**OPTIONS, "enhancements": ["hed:source=file", "afma:level=2,patch=8"]}
    model = create_model("unet", **options)
    assert model.enhancements["afma"].image_first.in_channels == 3
    assert model.run(torch.randn(2, 4, 64, 64)).logits.shape == (2, 2, 64, 64)


def test_training_changes_image_and_map_alike(root: Path) -> None:
    augment = AugmentConfig(scale=(0.5, 2), flip=0.5, jitter=0, blur=0)
    config = data_config(root, augment=augment, crop=(24, 32))
    dataset = build_dataset(config, "train", augment=True)
    differs = []
    for epoch in range(8):
        sample = dataset[epoch, epoch % 4]
        inside = sample["mask"] != 255
        green = sample["image"][1].int()
        assert (green - sample["edge"].int())[inside].abs().max() <= 1  # rounding of the resize
        whole = torch.from_numpy(read_image(Path(sample["meta"]["path"]))[:24, :32, 1].copy())
        differs.append(not torch.equal(whole, sample["edge"]))
    assert any(differs)


def test_training_and_validation_look_at_the_map(root: Path) -> None:
    model = create_model("fpn", **OPTIONS)
    step = TrainingStep(model, build_losses(LossConfig()))
    dataset = build_dataset(data_config(root), "train")
    (batch,) = build_loader(dataset, batch_size=4, shuffle=False)
    pixels = step.pixels(batch)
    assert torch.equal(pixels[:, :3], batch["image"])
    assert torch.equal(pixels[:, 3], batch["edge"])
    step(pixels, batch["mask"])["total"].backward()
    first = next(m for m in model.encoder.modules() if isinstance(m, nn.Conv2d))
    assert first.weight.grad[:, 3:].abs().sum() > 0
    plain = TrainingStep(create_model("fpn", encoder_name="tu-test_resnet"), step.losses)
    assert torch.equal(plain.pixels(batch), batch["image"])


def test_labels_change_nothing_of_what_the_network_sees(root: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(root, changed)
    for path in (changed / "test" / "masks").iterdir():
        save(path, 1 - read_image(path)[..., 0])
    first, second = (build_dataset(data_config(path), "test")[0] for path in (root, changed))
    assert not torch.equal(first["mask"], second["mask"])
    assert torch.equal(first["image"], second["image"])
    assert torch.equal(first["edge"], second["edge"])


def test_label_maps_are_refused_as_edges(root: Path) -> None:
    with pytest.raises(DataError, match=r"edge map of .*test0\.png is its label map.*answer away"):
        build_dataset(data_config(root, "{split}/masks"), "test").require_edges()


@pytest.mark.parametrize("verb", ["eval", "predict"])
def test_evaluation_and_prediction_use_the_map(
    root: Path, run: Path, tmp_path: Path, verb: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(root, other)
    for path in (other / "test" / "edges").iterdir():
        save(path, 255 - read_image(path)[..., 0])
    shutil.copytree(run, tmp_path / "run")
    found = []
    for folder in (root, other):
        edges, out = folder / "test" / "edges", tmp_path / "run" / "eval" / "test" / "predictions"
        if verb == "predict":
            out = tmp_path / folder.name
            images = folder / "test" / "images"
            words = [str(images), "--edges", str(edges), "--out", str(out), "--no-overlay"]
        else:
            words = ["--data.root", str(folder), "--data.edges", "{split}/edges", "--predictions"]
            words += ["--data.classes", *LABELS.classes, "--data.no-cache", "--bootstrap", "0"]
        assert main([verb, str(tmp_path / "run"), *words]) == 0
        name = "test0_label.png" if verb == "predict" else "test0.png"
        found.append(read_image(out / name)[..., 0])
        image = read_image(folder / "test" / "images" / "test0.png")
        seen = np.dstack([image, read_image(edges / "test0.png")[..., 0]])
        np.testing.assert_array_equal(found[-1], Predictor.from_path(run).label_map(seen))
    assert not np.array_equal(*found)


def test_missing_maps_are_refused(
    root: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, edges = root / "test" / "images", tmp_path / "edges"
    shutil.copytree(root / "test" / "edges", edges)
    predict = ["predict", str(run), str(images), "--out", str(tmp_path / "out")]
    assert main(predict) == 2
    assert "name their folder with --edges DIR" in capsys.readouterr().err
    save(edges / "test1.png", np.zeros((4, 5), np.uint8))
    assert main([*predict, "--edges", str(edges)]) == 1
    assert "test1.png is 5 x 4 pixels but its image" in capsys.readouterr().err
    (edges / "test1.png").unlink()
    assert main([*predict, "--edges", str(edges)]) == 2
    assert "test1.png has no edge map of its name" in capsys.readouterr().err
    data = ["--data.root", str(root), "--data.classes", *LABELS.classes, "--data.no-cache"]
    assert main(["eval", str(run), *data]) == 2
    assert "test0.png has none; set data.edges" in capsys.readouterr().err
    words = ["--model.encoder-name", "tu-test_resnet", "--model.enhancements", "hed:source=file"]
    words += ["--model.encoder-weights", "None", "--train.out", str(tmp_path / "new")]
    assert main(["train", "folder", *data, *words]) == 2
    assert "train0.png has none; set data.edges" in capsys.readouterr().err


def test_maps_are_refused_by_a_network_that_takes_none(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = create_model("fpn", encoder_name="tu-test_resnet", classes=2)
    save_pretrained(model, tmp_path / "plain", LABELS)
    test = root / "test"
    words = ["predict", str(tmp_path / "plain"), str(test / "images"), "--out", str(tmp_path / "o")]
    assert main([*words, "--edges", str(test / "edges")]) == 2
    assert "takes no edge maps; leave --edges out" in capsys.readouterr().err


def test_a_training_through_the_command_line_learns_the_maps_weights(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "folder", "--data.root", str(root), "--data.edges", "{split}/edges"]
    words += ["--data.classes", *LABELS.classes, "--data.no-cache", "--data.batch-size", "2"]
    words += ["--data.crop", "32", "32", "--model.encoder-name", "tu-test_resnet"]
    words += ["--model.encoder-weights", "None", "--model.enhancements", "hed:source=file"]
    words += ["--train.epochs", "1", "--train.out", str(tmp_path / "run"), "--json"]
    assert main([*words, "--train.precision", "fp32"]) == 0
    assert json.loads(capsys.readouterr().out)["miou"] is not None
    model = from_pretrained(tmp_path / "run")
    first = next(m for m in model.encoder.modules() if isinstance(m, nn.Conv2d))
    assert first.weight[:, 3:].abs().sum() > 0
