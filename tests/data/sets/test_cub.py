"""CUB-200 in its three layouts: the bird is class 1, five annotators vote, lists divide."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data.sets.cub import CUB, is_here, read, split_of_species
from segloom.data_check import check
from segloom.errors import DataError

SPECIES = ("001.Black_footed_Albatross", "160.Black_throated_Blue_Warbler", "190.Red_cockaded")


def draw(path: Path, pixels: list[list[int]], mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).convert(mode).save(path)


def make_2011(root: Path, count: int = 12, masks: str = "CUB_200_2011/segmentations") -> Path:
    names = [f"{SPECIES[n % 3]}/Bird_{n:04}.jpg" for n in range(count)]
    base = root / "CUB_200_2011"
    for n, name in enumerate(names):
        draw(base / "images" / name, [[n, 10, 20, 30, 40, 50]], "RGB")
        draw(root / masks / name.replace(".jpg", ".png"), [[0, 51, 102, 153, 204, 255]])
    (base / "images.txt").write_text("".join(f"{n + 1} {name}\n" for n, name in enumerate(names)))
    flags = "".join(f"{n + 1} {int(n < count - 2)}\n" for n in range(count))
    (base / "train_test_split.txt").write_text(flags)
    return root


def ids(root: Path, split: str, **options: object) -> list[str]:
    return [record.id for record in read(DataConfig(root=root, **options), split).records]


def test_the_bird_of_the_samples_is_the_smaller_part_and_class_1(shared):
    config = DataConfig(name="cub", root=shared / "data" / "samples" / "birds")
    for split, species in (("train", "001"), ("val", "151"), ("test", "181")):
        source, labels, decoder = read_labelled_source(config, split)
        assert labels == CUB
        assert len(source.records) == 5
        for record in source.records:
            assert record.image.parent.name.startswith(species)
            ids_found = decoder.decode(record.mask)
            stored = np.asarray(Image.open(record.mask))
            np.testing.assert_array_equal(ids_found, stored == 255)
            assert 0.01 < ids_found.mean() < 0.5  # CELT's loader would learn the rest


@pytest.mark.parametrize("masks", ["CUB_200_2011/segmentations", "segmentations"])
def test_three_of_five_annotators_make_a_bird_of_2011(tmp_path, masks):
    root = make_2011(tmp_path, masks=masks)
    for folder in (root, root / "CUB_200_2011"):
        source, _, decoder = read_labelled_source(DataConfig(name="cub", root=folder), "test")
        assert decoder.decode(source.records[0].mask).tolist() == [[0, 0, 0, 1, 1, 1]]


def test_the_lists_of_2011_divide_and_a_share_of_training_validates(tmp_path):
    root = make_2011(tmp_path, 40)
    found = {split: ids(root, split) for split in ("train", "val", "test")}
    assert found["test"] == ["Bird_0038", "Bird_0039"]
    assert sorted(found["train"] + found["val"]) == [f"Bird_{n:04}" for n in range(38)]
    assert 1 <= len(found["val"]) <= 12  # 1/8 of 38, chosen by hash
    assert ids(root, "val", split_shares=(1, 0, 0)) == []


def test_species_divide_a_tree_without_lists(tmp_path):
    for species in SPECIES:
        draw(tmp_path / "images" / species / "a.jpg", [[1]], "RGB")
        draw(tmp_path / "GroundTruth" / species / "a.png", [[255]])
    for split, species in zip(("train", "val", "test"), SPECIES, strict=True):
        (record,) = read(DataConfig(root=tmp_path), split).records
        assert record.image.parent.name == record.mask.parent.name == species
    assert Counter(split_of_species(n) for n in range(1, 201)) == {
        "train": 150,
        "val": 30,
        "test": 20,
    }


def test_the_check_recognises_it_and_says_how_to_read_it(tmp_path, shared):
    report = check(make_2011(tmp_path))
    assert report.is_fine, report.findings
    assert report.options == {"name": "cub", "root": str(tmp_path)}
    assert report.splits["test"].pairs == 2
    assert [(row.value, row.name, row.share) for row in report.labels] == [
        ("0", "background", 0.5),
        ("1", "bird", 0.5),
    ]
    samples = check(shared / "data" / "samples" / "birds")
    assert (samples.options["name"], samples.num_read, samples.is_fine) == ("cub", 15, True)


def test_the_check_lists_damaged_files_and_missing_lists(tmp_path):
    root = make_2011(tmp_path)
    broken = root / "CUB_200_2011" / "images" / SPECIES[0] / "Bird_0000.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    report = check(root)
    assert not report.is_fine
    assert any(str(broken) in file for finding in report.findings for file in finding.files)
    (root / "CUB_200_2011" / "train_test_split.txt").unlink()
    assert [f.kind for f in check(root).findings if f.level == "problem"] == ["unreadable"] * 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("images.txt", "1 ../../secret.jpg\n", "line 1: .* leads out of the data set"),
        ("images.txt", "1 /etc/passwd\n", "leads out of the data set"),
        ("images.txt", "one a.jpg\n", "line 1: expected a new number and a text"),
        ("images.txt", "1 a.jpg\n1 b.jpg\n", "line 2: expected a new number"),
        ("images.txt", "77 a.jpg\n", "number different images"),
        ("train_test_split.txt", "1\n", "line 1: expected"),
    ],
)
def test_damaged_lists_are_refused_with_their_line(tmp_path, name, text, message):
    root = make_2011(tmp_path)
    (root / "CUB_200_2011" / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read(DataConfig(root=root), "train")


def test_a_list_that_is_no_text_is_refused(tmp_path):
    root = make_2011(tmp_path)
    (root / "CUB_200_2011" / "images.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"images\.txt is no UTF-8 text"):
        read(DataConfig(root=root), "train")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match="holds no CUB-200"):
        read(DataConfig(root=tmp_path), "train")
    assert not is_here(tmp_path)
    root = make_2011(tmp_path, masks="elsewhere")
    with pytest.raises(DataError, match=r"unpack segmentations\.tgz to .*segmentations"):
        read(DataConfig(root=root), "train")
    make_2011(tmp_path)
    missing = root / "CUB_200_2011" / "segmentations" / SPECIES[2] / "Bird_0011.png"
    missing.unlink()
    with pytest.raises(DataError, match=r"Bird_0011\.png is missing"):
        read(DataConfig(root=root), "test")
