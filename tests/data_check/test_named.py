"""Files that name classes: what they say, what they leave out, and what is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data_check import check
from segloom.data_check.named import find_names
from segloom.errors import DataError


def write(root: Path, *maps: Image.Image) -> Path:
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number, labels in enumerate(maps):
        pixels = rng.integers(0, 255, (labels.height, labels.width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        labels.save(root / "masks" / f"{number}.png")
    return root


def grey(*values: int) -> Image.Image:
    return Image.fromarray(np.repeat(np.array(values, np.uint8), 16).reshape(-1, 16))


def decode(root: Path) -> dict[int, list[int]]:
    """Class ids of the first column of every label map, as training gets them."""
    config = DataConfig.model_validate(check(root).options)
    found = {}
    for split in ("train", "val", "test"):
        source, _, decoder = read_labelled_source(config, split)
        for record in source.records:
            mask = source.decode(record, decoder).mask
            found[int(record.image.stem)] = mask[:, 0].tolist()
    return found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "\ufeffground\r\ncell\r\n\r\ndirt\r\n"),
        ("labels.txt", "cell\ndirt\n"),  # background is not in the list
        ("_classes.csv", "Pixel Value, Class\n0, ground\n1, cell\n2, dirt\n"),
        ("dataset.json", '{"labels": {"ground": 0, "cell": 1, "dirt": 2}}'),
        ("dataset.json", '{"labels": {"0": "ground", "1": "cell", "2": "dirt"}}'),
        ("data.yaml", "names: {0: ground, 1: cell, 2: dirt}"),
    ],
)
def test_values_get_the_names_of_the_file(name: str, text: str, tmp_path: Path) -> None:
    root = write(tmp_path, *[grey(0, 1, 2), grey(0, 2, 1)] * 3)
    (root / name).write_text(text, encoding="utf-8")
    report = check(root)
    assert report.options["classes"][1:] == ["cell", "dirt"]
    assert {row.value: row.name for row in report.labels}["2"] == "dirt"
    assert decode(root)[1] == [0, 2, 1]


def test_values_with_gaps_are_numbered_by_the_file(tmp_path: Path) -> None:
    root = write(tmp_path, *[grey(0, 50, 100)] * 4)
    (root / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n50, cell\n100, dirt\n")
    assert decode(root)[0] == [0, 1, 2]
    assert check(root).options["classes"] == ["ground", "cell", "dirt"]


def test_a_value_that_the_file_does_not_name_is_a_problem(tmp_path: Path) -> None:
    root = write(tmp_path, *[grey(0, 1, 2)] * 4)
    (root / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n1, cell\n")
    (problem,) = (finding for finding in check(root).findings if finding.level == "problem")
    assert "does not name: 2" in problem.message


def test_colours_get_the_names_of_the_file_and_void_where_it_says_so(tmp_path: Path) -> None:
    colors = np.array([[[0, 0, 0]], [[9, 8, 7]], [[1, 2, 3]], [[224, 224, 192]]], np.uint8)
    labels = Image.fromarray(np.repeat(colors, 16, axis=1))
    root = write(tmp_path, *[labels] * 4)
    rows = ["background:0,0,0::", "dirt:1,2,3::", "cell:9,8,7::", "void:224,224,192::"]
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "\n".join(rows))
    assert decode(root)[0] == [0, 2, 1, 255]
    assert check(root).options["classes"] == ["background", "dirt", "cell"]


def test_palette_indices_are_read_by_the_colours_that_they_show(tmp_path: Path) -> None:
    labels = grey(0, 1, 2).convert("P")
    labels.putpalette([0, 0, 0, 9, 8, 7, 1, 2, 3])
    root = write(tmp_path, *[labels] * 4)
    (root / "labelmap.txt").write_text("background:0,0,0::\ndirt:1,2,3::\ncell:9,8,7::\n")
    assert decode(root)[0] == [0, 2, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dataset.json", "{"),
        ("labelmap.txt", "cell:1,2::"),
        ("labelmap.txt", "cell:1,2,999::"),
        ("_classes.csv", "Pixel Value, Class\nx, cell\n"),
        ("_classes.csv", "a,b\n1,2\n"),
        ("classes.txt", "\udcff"),
    ],
)
def test_a_damaged_file_is_named(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="names no classes in a form that is known"):
        find_names(tmp_path)
    root = write(tmp_path / "set", *[grey(0, 1)] * 3)
    (root / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert any(finding.kind == "names" for finding in check(root).findings)


def test_names_given_by_the_user_come_before_those_of_a_file(tmp_path: Path) -> None:
    root = write(tmp_path, *[grey(0, 1)] * 3)
    (root / "classes.txt").write_text("a\nb\n")
    assert check(root, classes=("x", "y")).options["classes"] == ["x", "y"]


def scenes(root: Path, values: np.ndarray, ending: str, **options: object) -> dict[str, np.ndarray]:
    """Write blocks of the values or colours into lossy files."""
    truth = {}
    for number in range(6):
        rng = np.random.default_rng(number)
        ids = np.kron(rng.permutation(16).reshape(4, 4) % len(values), np.ones((24, 24), int))
        truth[f"im{number}"] = ids
        for kind, pixels in (("images", rng.integers(0, 255, (96, 96, 3))), ("masks", values[ids])):
            (root / kind).mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(pixels.astype(np.uint8))
            is_mask = kind == "masks"
            name = f"im{number}.{ending if is_mask else 'png'}"
            image.save(root / kind / name, **(options if is_mask else {}))
    return truth


COLORS = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]])


@pytest.mark.parametrize("ending", ["jpg", "webp"])
@pytest.mark.parametrize(
    ("values", "name", "text"),
    [
        (np.array([0, 100, 200]), "classes.txt", "ground\ncell\ndirt\n"),
        (np.array([0, 127, 255]), "classes.txt", "ground\ncell\ndirt\n"),
        (
            np.array([0, 100, 200]),
            "_classes.csv",
            "Pixel Value, Class\n0, ground\n100, cell\n200, dirt\n",
        ),
        (np.array([0, 255]), "classes.txt", "ground\ncell\n"),
        (np.array([0, 255]), "classes.txt", "cell\n"),
        (np.array([0, 255]), "dataset.json", '{"labels": {"ground": 0, "cell": 255}}'),
        (
            COLORS,
            "labelmap.txt",
            "ground:0,0,0::\ncell:250,50,83::\ndirt:51,221,255::\n",
        ),
        (COLORS, "class_dict.csv", "name,r,g,b\nground,0,0,0\ncell,250,50,83\ndirt,51,221,255\n"),
    ],
)
def test_lossy_label_maps_keep_the_names_of_the_file(
    values: np.ndarray, name: str, text: str, ending: str, tmp_path: Path
) -> None:
    truth = scenes(tmp_path, values, ending, quality=92)
    (tmp_path / name).write_text(text)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert list(report.options["classes"][1:]) == ["cell", "dirt"][: len(values) - 1]
    assert "names" in {finding.kind for finding in report.findings}
    config = DataConfig.model_validate(report.options)
    for split in ("train", "val", "test"):
        source, _, decoder = read_labelled_source(config, split)
        for record in source.records:
            mask = source.decode(record, decoder).mask
            assert (mask == truth[record.image.stem]).mean() > 0.95


def test_values_apart_for_the_eye_take_names_in_their_order(tmp_path: Path) -> None:
    root = write(tmp_path, *[grey(0, 127, 255), grey(0, 255, 127)] * 3)
    (root / "classes.txt").write_text("ground\ncell\ndirt\n")
    report = check(root)
    assert report.is_fine, report.findings
    assert report.options["classes"] == ["ground", "cell", "dirt"]
    assert decode(root)[0] == [0, 1, 2]
