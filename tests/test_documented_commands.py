"""Every command and every Python example in the documentation runs as it is written.

Commands run one after another, as a reader would type them, on a few small generated images;
trainings get options that make them short.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from safetensors.torch import save_file
from support.class_masks import write_split
from support.coco import draw_coco

from segloom.cli.main import main
from segloom.data.scenes import make_scene
from segloom.enhancements.hed_network import HedNetwork
from segloom.pictures import write_image, write_label_png

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SHORT = (
    "--model.encoder-name tu-test_resnet --model.encoder-weights None --train.epochs 1 "
    "--data.crop 64 64 --data.batch-size 2 --train.precision fp32 --data.num-scenes 4 2 2 "
    "--data.scene-size 64 96 --train.overwrite True"
)
FOREIGN = {"pip", "pre-commit", "python", "torchrun"}
"""Programs that are not ours and are not run."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    root = tmp_path_factory.mktemp("camvid")
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for index in range(count):
            image, mask = make_scene(0, split, index, size=(64, 96))
            write_image(root / split / f"{split}{index}.png", image)
            mask = np.where(mask == 255, 11, mask).astype(np.uint8)
            write_label_png(root / f"{split}annot" / f"{split}{index}.png", mask)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for index in range(count):
            image, mask = make_scene(0, split, index, size=(64, 96))
            write_image(root / split / "images" / f"{index}.png", image)
            write_label_png(root / split / "masks" / f"{index}.png", (mask == 3).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory, cityscapes_tree):
    """Folder with one small tree per page of docs/data, in the layout that it describes first."""
    root = tmp_path_factory.mktemp("data_sets")
    stems: dict[str, list[str]] = {}
    cities = {"train": ("aachen", "ulm"), "val": ("munster",)}
    cityscapes_tree(root / "cityscapes", cities, size=(68, 64))
    # The server takes no other size.
    cityscapes_tree(root / "cityscapes", {"test": ("berlin",)}, frames=1, size=(1024, 2048))
    for number, split in enumerate(["train"] * 6 + ["val"] * 2 + ["test"] * 2):
        image, mask = make_scene(0, split, number, size=(64, 96))
        bird = 255 * (mask == 3).astype(np.uint8)
        species = root / "cub" / split / "{}" / "001.Albatross" / f"{number}.png"
        write_image(Path(str(species).format("images")), image)
        write_label_png(Path(str(species).format("GroundTruth")), bird)
        if split != "test":
            draw_coco(root / "coco", split, number, image, bird)
            year, name = root / "voc" / "VOC2012", f"2007_{number:06}"
            write_image(year / "JPEGImages" / f"{name}.jpg", image)
            write_label_png(year / "SegmentationClass" / f"{name}.png", mask)
            stems.setdefault(split, []).append(name)
            lists = year / "ImageSets" / "Segmentation"
            lists.mkdir(parents=True, exist_ok=True)
            (lists / f"{split}.txt").write_text("\n".join(stems[split]))
            part = {"train": "training", "val": "validation"}[split]
            ade = root / "ade20k" / "{}" / part / f"ADE_{split}_{number}.png"
            write_image(Path(str(ade).format("images")), image)
            write_label_png(Path(str(ade).format("annotations")), (mask + 1).astype(np.uint8))
        name = {"train": "Training", "val": "Validation", "test": "Test"}[split]
        lesions = root / "isic" / f"ISIC2018_Task1_{name}_GroundTruth"
        write_image(root / "isic" / f"ISIC2018_Task1-2_{name}_Input" / f"ISIC_{number}.png", image)
        write_label_png(lesions / f"ISIC_{number}_segmentation.png", bird)
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        write_split(root / "multilabel", split, count, size=(64, 96))
    for number in range(4):
        split = ("train", "train", "val", "test")[number]
        maps = [make_scene(1, split, index, size=(64, 96))[1] for index in range(3)]
        liver = np.stack([(mask == 3).astype(np.uint8) for mask in maps])  # (S, H, W)
        (root / "lits" / split).mkdir(parents=True, exist_ok=True)
        affine = np.diag([-0.7, -0.7, 5, 1])
        for name, voxels in (("volume", 200 * liver - 100.0), ("segmentation", liver)):
            path = root / "lits" / split / f"{name}-{number}.nii.gz"
            nibabel.Nifti1Image(voxels.astype(np.int16).T, affine).to_filename(path)
    return root


def prepare(words: list[str], root: Path) -> list[str]:
    """Put real paths and short trainings into a command of the documentation."""
    words = [re.sub(r"\bDIR\b", str(root), word) for word in words]
    if words[0] in ("train", "tune") and "--print-config" not in words:
        words += shlex.split(SHORT)
        words += {"tune": ["--trials", "2"]}.get(words[0], [])
        words += ["--find-lr.steps", "20"] if "--find-lr" in words else []
        if words[1] == "folder":
            words += ["--data.classes", "other", "road"]
    if words[0] == "compare" and words[1] == "camvid":
        words = ["0..1" if word == "0..2" else word for word in words]
        words += [*shlex.split(SHORT), "--engine", "inline"]
    return words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_run_as_written(page, camvid, folder, data_sets, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if page.name == "hed.md":
        save_file(HedNetwork().state_dict(), "hed.safetensors")
        folder = shutil.copytree(folder, tmp_path / "data")  # the page writes edges into it
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for program, *words in commands(page):
        if program == "make":
            assert words[0] in targets
        elif program == "segloom":
            root = camvid if any("camvid" in word for word in words) else folder
            root = data_sets / page.stem if page.parent.name == "data" else root
            assert main(prepare(words, root)) == 0, capsys.readouterr().err
        else:
            assert program in FOREIGN, f"{page.name} shows an unknown program: {program}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_run_as_written(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)


def test_the_readme_is_among_the_pages_and_shows_the_two_commands():
    shown = [" ".join(words) for words in commands(ROOT / "README.md")]
    assert shown[:2] == ["make demo", "make test"]
