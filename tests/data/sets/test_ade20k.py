"""ADE20K of the scene parsing benchmark: 1 to 150 become 0 to 149, 0 becomes void."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data.sets.ade20k import ADE20K, FOLDERS, is_here, read
from segloom.data_check import check
from segloom.errors import DataError, NoSplitError


def make(folder: Path, beginning: str = "ADE_") -> Path:
    for split, name in FOLDERS.items():
        for number in range(2):
            for kind in ("images", "annotations"):
                (folder / kind / name).mkdir(parents=True, exist_ok=True)
            stem = f"{beginning}{split}_0000000{number}"
            pixels = np.full((2, 4, 3), 20 * len(split) + 7 * number, np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{stem}.jpg")
            mask = np.array([[0, 1, 13, 150]] * 2, np.uint8)
            Image.fromarray(mask).save(folder / "annotations" / name / f"{stem}.png")
    return folder


def test_there_are_150_classes_by_their_places_in_the_release():
    names = dict(enumerate(ADE20K.classes, 1))
    assert len(names) == len(set(ADE20K.classes)) == 150
    assert len(set(ADE20K.palette)) == 150
    # Numbers of the release's objectInfo150.txt.
    known = {1: "wall", 3: "sky", 13: "person", 21: "car", 101: "poster", 137: "traffic light"}
    assert {number: names[number] for number in known} == known
    assert names[150] == "flag"


@pytest.mark.parametrize("inside", ["", "ADEChallengeData2016"])
def test_ids_begin_at_0_and_unlabelled_is_void(tmp_path, inside):
    make(tmp_path / inside)
    for split in FOLDERS:
        config = DataConfig(name="ade20k", root=tmp_path)
        source, labels, decoder = read_labelled_source(config, split)
        assert labels == ADE20K
        assert [record.id for record in source.records] == [
            f"ADE_{split}_0000000{number}" for number in range(2)
        ]
        assert decoder.decode(source.records[0].mask)[0].tolist() == [255, 0, 12, 149]


def test_a_value_above_150_is_refused(tmp_path):
    make(tmp_path)
    path = tmp_path / "annotations" / "training" / "ADE_train_00000000.png"
    Image.fromarray(np.full((2, 4), 151, np.uint8)).save(path)
    source, _, decoder = read_labelled_source(DataConfig(name="ade20k", root=tmp_path), "train")
    with pytest.raises(DataError, match="outside the 150 classes: 151"):
        decoder.decode(source.records[0].mask)


def test_the_check_recognises_it_and_not_others_with_its_layout(tmp_path):
    report = check(make(tmp_path / "ADEChallengeData2016"))
    assert report.is_fine, report.findings
    assert report.options["name"] == "ade20k"
    assert [row.name for row in report.labels] == ["wall", "person", "flag", "(void)"]
    assert not is_here(make(tmp_path / "mine", beginning="street_"))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no ADEChallengeData2016"):
        read(DataConfig(root=tmp_path), "train")
    make(tmp_path)
    with pytest.raises(NoSplitError, match=r"not public; measure .* with --split val"):
        read(DataConfig(root=tmp_path), "test")
    (tmp_path / "annotations" / "validation" / "ADE_val_00000001.png").unlink()
    with pytest.raises(DataError, match=r"ADE_val_00000001\.jpg has no label map"):
        read(DataConfig(root=tmp_path), "val")
    (tmp_path / "annotations" / "validation").rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"there is no folder .*annotations/validation"):
        read(DataConfig(root=tmp_path), "val")
