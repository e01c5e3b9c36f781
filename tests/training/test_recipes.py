"""Every packaged recipe, as it is typed, learns from the layout that it is for; then it is used.

Real images where the shared samples hold some (they skip where there are none), generated ones for
PASCAL VOC, ADE20K and COCO. Only sizes, numbers of steps and weights that lie on a hub are changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
import pytest
import yaml
from PIL import Image
from support.class_masks import CLASSES, write_split
from support.coco import draw_coco

from segloom.cli.main import main
from segloom.config import RunConfig
from segloom.config.load import list_recipes, load_run_config
from segloom.data import build_dataset
from segloom.enhancements import list_enhancements
from segloom.labels.pictures import write_image, write_label_png
from segloom.losses import build_losses
from segloom.models import build_model
from segloom.scenes import make_scene


class Case(NamedTuple):
    """How a recipe is made short."""

    data: str
    """Name of a folder of the shared samples or of a function here, which makes one."""
    crop: tuple[int, int]
    options: str = ""
    epochs: int = 8


HUB = "--model.encoder-weights None"
RESNET18 = "--model.encoder-weights {shared}/data/weights/resnet18.safetensors"
CASES = {
    "ade20k": Case("make_ade20k", (96, 128)),
    "camvid": Case("samples/camvid", (192, 224), RESNET18),
    "cityscapes": Case("samples/cityscapes", (128, 192), HUB),
    "coco": Case("make_coco", (96, 128)),
    "cub": Case("samples/birds", (128, 128)),
    "demo": Case("", (96, 128), "--data.num-scenes 8 2 2"),
    "dlse": Case("samples/cityscapes", (96, 160), HUB),
    "fenet": Case("samples/cityscapes", (128, 256), HUB),
    "folder": Case(
        "samples/nuclei",
        (128, 128),
        "--data.mask-format binary --data.classes ground nucleus --train.steps-per-epoch 2",
    ),
    "isic": Case("samples/skin_lesion", (96, 128)),
    "linknet": Case("small_camvid", (160, 224), RESNET18),
    "lits": Case("cut_lits", (96, 96), "--train.steps-per-epoch 2"),
    "hed": Case(
        "samples/cityscapes",
        (96, 160),
        f"{HUB} --model.enhancements se hed:weights=random",
    ),
    "multilabel": Case("make_multilabel", (64, 64)),
    "sfnet": Case("samples/cityscapes", (128, 256), HUB),
    "sfnetlite": Case("samples/cityscapes", (128, 256), HUB),
    "voc": Case("make_voc", (96, 128)),
}


def write_scenes(place: Callable[[str, str], tuple[Path, Path]], first: int = 0) -> None:
    """Write six and two scenes; ``first`` is the stored value of the first class."""
    for split, count in (("train", 6), ("val", 2)):
        for number in range(count):
            image, mask = make_scene(0, split, number, size=(120, 160))
            image_path, mask_path = place(split, f"{split}_{number}")
            write_image(image_path, image)
            write_label_png(mask_path, (mask + first).astype(np.uint8))  # void + 1 is 0


def make_voc(root: Path, shared: Path) -> None:
    del shared
    year = root / "VOCdevkit/VOC2012"
    lists = year / "ImageSets/Segmentation"
    lists.mkdir(parents=True)

    def place(split: str, stem: str) -> tuple[Path, Path]:
        with (lists / f"{split}.txt").open("a") as file:
            file.write(f"{stem}\n")
        return year / "JPEGImages" / f"{stem}.jpg", year / "SegmentationClass" / f"{stem}.png"

    write_scenes(place)


def make_ade20k(root: Path, shared: Path) -> None:
    del shared

    def place(split: str, stem: str) -> tuple[Path, Path]:
        part, own = {"train": "training", "val": "validation"}[split], root / "ADEChallengeData2016"
        return own / "images" / part / f"{stem}.jpg", own / "annotations" / part / f"{stem}.png"

    write_scenes(place, first=1)


def make_coco(root: Path, shared: Path) -> None:
    del shared
    for split, count in (("train", 6), ("val", 2)):
        for number in range(count):
            image, mask = make_scene(0, split, number, size=(120, 160))
            draw_coco(root, split, number, image, mask == 3)


def make_multilabel(root: Path, shared: Path) -> None:
    del shared
    for split, count in (("train", 8), ("val", 2), ("test", 2)):
        write_split(root, split, count, size=(64, 96))


def small_camvid(root: Path, shared: Path) -> None:
    """Six images of every split of the 480x360 release."""
    for split in ("train", "val", "test"):
        images = sorted((shared / "data" / "camvid" / split).glob("*"))
        for image in images[:: len(images) // 6][:6]:
            (label,) = (shared / "data" / "camvid" / f"{split}annot").glob(f"{image.stem}.*")
            for file in (image, label):
                (root / file.parent.name).mkdir(exist_ok=True)
                (root / file.parent.name / file.name).symlink_to(file)


def cut_lits(root: Path, shared: Path) -> None:
    """The volume of the samples has one case: eight of its slices for each split."""
    for name in ("volume", "segmentation"):
        volume = nibabel.load(shared / "data/samples/lits" / f"{name}-117.nii.gz")
        for number, split in enumerate(("train", "val", "test")):
            (root / split).mkdir(exist_ok=True)
            part = volume.slicer[..., 56 + number : 80 + number : 3]
            part.to_filename(root / split / f"{name}-{number}.nii.gz")


MAKERS = {
    make.__name__: make
    for make in (make_voc, make_ade20k, make_coco, make_multilabel, small_camvid, cut_lits)
}


def test_every_recipe_has_a_case() -> None:
    assert sorted(CASES) == sorted(list_recipes())


def test_recipes_for_data_without_public_test_labels_measure_val() -> None:
    private = {"ade20k", "cityscapes", "coco", "voc"}
    configs = {recipe: load_run_config(recipe) for recipe in list_recipes()}
    measured = {name: c.eval.split for name, c in configs.items() if c.data.name in private}
    assert measured.keys() >= {*private, "sfnet", "sfnetlite", "fenet", "dlse", "hed"}
    assert set(measured.values()) == {"val"}
    assert load_run_config("hed").eval.inference.scales == (0.5,)  # of dlse, which it extends


@pytest.mark.parametrize("recipe", CASES)
def test_the_parts_of_a_recipe_fit_each_other(recipe: str) -> None:
    config = load_run_config(recipe)
    parts = ["hed:weights=random" if "hed" in part else part for part in config.model.enhancements]
    model = build_model(
        config.model.model_copy(update={"encoder_weights": None, "enhancements": parts}),
        config.model.classes or 3,
        is_multilabel=config.data.mask_format == "multilabel",
    )
    build_losses(
        config.loss,
        class_weights=None,
        auxiliary=model.loss_weights,
        known_enhancements=list_enhancements(),
        mode=model.mode,
    )


@pytest.mark.slow
@pytest.mark.parametrize("recipe", CASES)
def test_a_recipe_learns_and_is_used(
    recipe: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case, root, run = CASES[recipe], tmp_path / "data", tmp_path / "run"
    root.mkdir()
    generated = case.data.startswith("make_") or not case.data
    shared = Path() if generated else request.getfixturevalue("shared")
    if case.data in MAKERS:
        MAKERS[case.data](root, shared)
    elif case.data:
        root = shared / "data" / case.data
    words = ["train", recipe, "--train.out", str(run), "--data.cache-dir", str(tmp_path / "cache")]
    words += [] if recipe == "demo" else ["--data.root", str(root)]
    words += ["--data.crop", *map(str, case.crop), "--data.batch-size", "4", "--train.epochs"]
    words += [str(case.epochs), "--train.validate-every", str(case.epochs)]
    words += ["--train.tensorboard", "False", *case.options.format(shared=shared).split()]
    assert main(words) == 0
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [row["train/total"] for row in rows]
    assert len(losses) == case.epochs
    assert np.mean(losses[-3:]) < np.mean(losses[:3]), losses

    capsys.readouterr()
    assert main(["eval", str(run), "--bootstrap", "0", "--montages", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    config = RunConfig.model_validate(yaml.safe_load((run / "config.yaml").read_text()))
    dataset = build_dataset(config.data, config.eval.split)
    assert result["num_images"] == len(dataset)
    assert result["classes"] == list(dataset.classes)
    assert 0 <= result["scores"]["mIoU"] <= 1

    image, out = dataset.records[0].image, tmp_path / "predictions"
    if recipe == "demo":
        image = tmp_path / "scene.png"
        write_image(image, dataset[0]["image"].permute(1, 2, 0).numpy())
    assert main(["predict", str(run), str(image), "--out", str(out)]) == 0
    if recipe == "multilabel":
        masks = [np.asarray(Image.open(out / name / f"{image.stem}.png")) for name in CLASSES]
        assert {mask.shape for mask in masks} == {dataset[0]["mask"].shape}
        assert {int(value) for mask in masks for value in np.unique(mask)} <= {0, 255}
        return
    (label,) = out.glob("*_label.*")
    if recipe == "lits":
        volume, expected = (nibabel.load(path) for path in (label, image))
        found = np.asanyarray(volume.dataobj)
        assert found.shape == expected.shape
    else:
        with Image.open(label) as labels, Image.open(image) as picture:
            found = np.asarray(labels)
            assert labels.size == picture.size
    assert found.max() < len(dataset.classes)
