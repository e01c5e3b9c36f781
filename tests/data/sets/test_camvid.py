"""CamVid in both layouts, with its public split and merge."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data.sets.camvid import CAMVID, COLORS, LABELED, NUM_FRAMES, STILLS, read, split_of
from segloom.errors import DataError

SPECIFIED_SHARES = {
    "train": [16.845, 23.259, 0.983, 31.658, 4.486, 9.724, 1.173, 1.127, 5.866, 0.639, 0.292],
    "test": [17.066, 24.605, 1.177, 25.807, 9.269, 11.253, 1.010, 1.184, 3.972, 0.634, 0.189],
}
SPECIFIED_VOID = {"train": 3.948, "test": 3.833}


@pytest.mark.parametrize("split", NUM_FRAMES)
def test_the_whole_data_set_has_367_101_and_233_pairs(shared, split):
    source = read(DataConfig(name="camvid", root=shared / "data" / "camvid"), split)
    assert len(source.records) == NUM_FRAMES[split]
    assert all(record.image.stem == record.mask.stem == record.id for record in source.records)
    assert {split_of(record.id) for record in source.records} == {split}


@pytest.mark.parametrize("split", ["train", "test"])
def test_class_shares_equal_the_published_table(shared, split):
    config = DataConfig(name="camvid", root=shared / "data" / "camvid")
    source, _, decoder = read_labelled_source(config, split)
    counts = sum(
        np.bincount(decoder.decode(record.mask).ravel(), minlength=256) for record in source.records
    )
    shares = 100 * counts / counts.sum()
    np.testing.assert_allclose(shares[:11], SPECIFIED_SHARES[split], atol=6e-4)
    assert shares[255] == pytest.approx(SPECIFIED_VOID[split], abs=6e-4)


def make_original(root, stems, color=(0, 0, 192)):
    for folder in (STILLS, LABELED):
        (root / folder).mkdir()
    for stem in stems:
        Image.new("RGB", (4, 3)).save(root / STILLS / f"{stem}.png")
        Image.new("RGB", (4, 3), color).save(root / LABELED / f"{stem}_L.png")


def test_the_original_release_is_split_by_the_names_of_its_frames(tmp_path):
    stems = ["0001TP_008520", "0001TP_008550", "0006R0_f00930", "0016E5_07959", "0016E5_07961"]
    make_original(tmp_path, [*stems, "0016E5_07970", "Seq05VD_f00000"])
    found = {
        split: [record.id for record in read(DataConfig(root=tmp_path), split).records]
        for split in NUM_FRAMES
    }
    assert found == {
        "train": ["0001TP_008520", "0006R0_f00930", "0016E5_07970"],
        "val": ["0016E5_07959", "0016E5_07961"],
        "test": ["0001TP_008550", "Seq05VD_f00000"],
    }


@pytest.mark.parametrize(("name", "color", "merged"), [(n, c, m) for n, (c, m) in COLORS.items()])
def test_every_original_class_merges_into_its_segnet_class(tmp_path, name, color, merged):
    make_original(tmp_path, ["Seq05VD_f00000"], color)
    config = DataConfig(name="camvid", root=tmp_path)
    source, labels, decoder = read_labelled_source(config, "test")
    ids = decoder.decode(source.records[0].mask)
    assert labels == CAMVID
    assert set(ids.ravel()) == {255 if merged is None else CAMVID.classes.index(merged)}


def test_there_are_32_original_classes_of_which_one_is_void():
    assert len({color for color, _ in COLORS.values()}) == 32
    merged = Counter(name for _, name in COLORS.values())
    assert merged.pop(None) == 1
    assert set(merged) == set(CAMVID.classes)


def test_void_of_segnet_is_void_unless_the_user_makes_it_a_class(shared):
    root = shared / "data" / "camvid"
    record, _, decoder = read_labelled_source(DataConfig(name="camvid", root=root), "train")
    mask = record.records[0].mask
    assert (decoder.decode(mask) == 255).any()
    config = DataConfig(name="camvid", root=root, classes=(*CAMVID.classes, "unlabelled"))
    _, labels, decoder = read_labelled_source(config, "train")
    assert len(labels.palette) == 12
    assert (decoder.decode(mask) == 11).any()
    assert not (decoder.decode(mask) == 255).any()


def test_more_values_can_be_made_void_and_a_label_map_says_it_all(tmp_path):
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
        Image.frombytes("L", (3, 1), bytes([0, 3, 11])).save(tmp_path / folder / "a.png")

    def ids(**options):
        config = DataConfig(name="camvid", root=tmp_path, **options)
        source, _, decoder = read_labelled_source(config, "train")
        return decoder.decode(source.records[0].mask).tolist()

    assert ids() == [[0, 3, 255]]
    assert ids(ignore_values=(3,)) == [[0, 255, 255]]
    assert ids(label_map={"0": 1, "3": 1, "11": 2}) == [[1, 1, 2]]


def test_a_folder_without_camvid_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"holds no CamVid: .*trainannot.*data download camvid"):
        read(DataConfig(root=tmp_path), "train")


def test_images_of_the_original_without_its_labels_are_refused(tmp_path):
    (tmp_path / STILLS).mkdir()
    with pytest.raises(DataError, match=f"not its labels; unpack them to .*{LABELED}"):
        read(DataConfig(root=tmp_path), "train")
