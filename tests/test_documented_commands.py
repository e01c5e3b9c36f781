"""Every command and every Python example in the documentation runs as it is written.

Commands run one after another, as a reader would type them, on a few small generated images;
trainings get options that make them short. Files that a page shows with a title are written, and
a package among them is installed. The blocks of a tutorial run in the order in which they stand.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path

import httpx
import nibabel
import numpy as np
import pytest
import rasterio
from safetensors.torch import save_file
from support.class_masks import write_split
from support.coco import draw_coco
from support.servers import free_port

from segloom.cli.main import VERBS, main
from segloom.config.load import load_run_config
from segloom.enhancements.hed.network import HedNetwork
from segloom.errors import SegloomError
from segloom.labels.pictures import write_image, write_label_png
from segloom.scenes import make_scene

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
SHORT = (
    "--model.encoder-name tu-test_resnet --model.encoder-weights None --train.epochs 1 "
    "--data.crop 64 64 --data.batch-size 2 --train.precision fp32 --train.overwrite True"
)
FEW_SCENES = "--data.num-scenes 4 2 2 --data.scene-size 64 96"
"""For recipes that train on generated scenes; other readers refuse these options."""
FOREIGN = {"curl", "pip", "pre-commit", "python", "torchrun"}
"""Programs that are not ours and are not run."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def split_commands(text: str) -> list[list[str]]:
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def commands(page: Path) -> list[list[str]]:
    return split_commands("".join(blocks(page, "bash")))


@pytest.fixture
def write_files(tmp_path, monkeypatch):
    """Write the files that a page shows under their names, and install the package they make."""

    def write(page: Path) -> None:
        named = r'^```\w+ title="([^"]+)"\n(.*?)^```'
        for name, text in re.findall(named, page.read_text(), re.MULTILINE | re.DOTALL):
            (tmp_path / name).write_text(text)
        if not (tmp_path / "pyproject.toml").exists():
            return
        project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
        folder = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Name: {project['name']}\nVersion: {project['version']}\n"
        )
        (folder / "entry_points.txt").write_text(
            "".join(
                f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
                for group, points in project["entry-points"].items()
            )
        )
        monkeypatch.syspath_prepend(tmp_path)

    return write


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
        outlines = [{"label": "road", "shape_type": "rectangle", "points": [[0, 30], [96, 64]]}]
        labelled = root / "labelling_tools" / split / f"{number}.png"
        write_image(labelled, image)
        facts = {"imagePath": labelled.name, "shapes": outlines}
        labelled.with_suffix(".json").write_text(json.dumps(facts))
        write_image(root / "geotiff" / split / "images" / f"{number}.png", image)
        write_label_png(root / "geotiff" / split / "masks" / f"{number}.png", bird // 255)
        write_image(root / "mask_files" / split / "images" / f"{number}.png", image)
        for place, half in enumerate(np.hsplit(bird, 2)):  # two objects
            drawn = np.pad(half, ((0, 0), (48 * place, 48 - 48 * place)))
            masks = root / "mask_files" / split / "masks"
            write_label_png(masks / f"{number}_road_{place}.png", drawn)
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 5.4e6)}
    size = {"height": 64, "width": 96, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        root / "geotiff" / "scene.tif", "w", driver="GTiff", **size, **place
    ) as file:
        file.write(np.moveaxis(image, -1, 0))
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


def _trains_on_scenes(recipe: str) -> bool:
    """Return whether a recipe or file names the generated scenes; commands refuse other words."""
    try:
        return load_run_config(recipe).data.name == "scenes"
    except SegloomError:
        return False


def prepare(words: list[str], root: Path) -> list[str]:
    """Put real paths and short trainings into a command of the documentation."""
    words = [re.sub(r"\bDIR\b", str(root), word) for word in words]
    if words[0] in ("train", "tune") and "--print-config" not in words:
        words += shlex.split(SHORT)
        words += ["--model.encoder-name", "tu-test_vit"] if "eomt" in words else []
        words += shlex.split(FEW_SCENES) if _trains_on_scenes(words[1]) else []
        words += {"tune": ["--trials", "2"]}.get(words[0], [])
        words += ["--find-lr.steps", "20"] if "--find-lr" in words else []
        if words[1] == "folder":
            words += ["--data.classes", "other", "road"]
    if words[0] == "compare" and words[1] == "camvid":
        words = ["0..1" if word == "0..2" else word for word in words]
        words += [*shlex.split(SHORT), "--engine", "inline"]
    return words


def serve(words: list[str]) -> None:
    """Run a server in a process of its own until it answers, then end it in order."""
    port = free_port()
    command = [sys.executable, "-m", "segloom", *words, "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            for _ in range(600):
                with suppress(httpx.TransportError):
                    url = f"http://127.0.0.1:{port}/health/ready"
                    assert httpx.get(url, trust_env=False, timeout=30).status_code == 200
                    break
                assert process.poll() is None, "the server ended before it answered"
                time.sleep(0.2)
        finally:
            process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("page", [p for p in PAGES if p not in TUTORIALS], ids=lambda p: p.name)
def test_commands_run_as_written(
    page, camvid, folder, data_sets, tmp_path, monkeypatch, capsys, write_files
):
    monkeypatch.chdir(tmp_path)
    write_files(page)
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
            if words[0] == "serve":
                serve(words)
                continue
            assert main(prepare(words, root)) == 0, capsys.readouterr().err
        else:
            assert program in FOREIGN, f"{page.name} shows an unknown program: {program}"


@pytest.mark.parametrize("page", [p for p in PAGES if p not in TUTORIALS], ids=lambda p: p.name)
def test_python_examples_run_as_written(page, tmp_path, monkeypatch, write_files):
    monkeypatch.chdir(tmp_path)
    write_files(page)
    names: dict[str, object] = {}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.name)
def test_a_tutorial_runs_from_its_first_line_to_its_last(
    page, tmp_path, monkeypatch, capsys, write_files
):
    monkeypatch.chdir(tmp_path)
    write_files(page)
    names: dict[str, object] = {}
    found = re.findall(r"^```(python|bash)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert {language for language, _ in found} == {"python", "bash"}
    for language, text in found:
        if language == "python":
            exec(compile(text, str(page), "exec"), names)
        for program, *words in split_commands(text) if language == "bash" else ():
            assert program == "segloom"
            assert main(words) == 0, capsys.readouterr().err


def test_every_command_stands_in_the_reference():
    page = (ROOT / "docs" / "reference" / "command_line.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| ([^|]*?) \|", page, re.MULTILINE) == list(VERBS.items())


def test_the_readme_is_among_the_pages_and_shows_the_two_commands():
    shown = [" ".join(words) for words in commands(ROOT / "README.md")]
    assert shown[:2] == ["make demo", "make test"]
