"""Samples as training and evaluation see them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from PIL import Image

import segloom.data
from segloom import plugins
from segloom.config.data import DataConfig
from segloom.data import DATASETS, build_dataset, readers
from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.types import IGNORE_INDEX


@pytest.fixture
def root(tmp_path):
    """Three pairs of different sizes with ids 0, 1 and void."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (tmp_path / split / kind).mkdir(parents=True)
        for number, size in enumerate([(20, 30), (24, 16), (9, 9)]):
            image = random.integers(0, 256, (*size, 3), np.uint8)
            mask = random.choice(np.array([0, 1, 255], np.uint8), size)
            Image.fromarray(image).save(tmp_path / split / "images" / f"{number}.png")
            Image.fromarray(mask).save(tmp_path / split / "masks" / f"{number}.png")
    return tmp_path


def config(root, **options):
    options = {"classes": ("road", "sky"), "cache_dir": root / "cache", **options}
    return DataConfig(root=root, **options)


def equal(first, second):
    return torch.equal(first["image"], second["image"]) and torch.equal(
        first["mask"], second["mask"]
    )


def test_a_sample_is_the_decoded_file_with_its_origin(root):
    dataset = build_dataset(config(root), "val")
    sample = dataset[1]
    path = root / "val" / "images" / "1.png"
    np.testing.assert_array_equal(sample["image"].permute(1, 2, 0), np.asarray(Image.open(path)))
    np.testing.assert_array_equal(
        sample["mask"], np.asarray(Image.open(root / "val" / "masks" / "1.png"))
    )
    assert sample["meta"] == {"id": "1", "path": str(path), "size": (24, 16)}
    assert sample["image"].dtype == sample["mask"].dtype == torch.uint8


def test_a_data_set_knows_its_labels(root):
    dataset = build_dataset(config(root), "train")
    assert len(dataset) == len(dataset.records) == 3
    assert dataset.classes == ("road", "sky")
    assert len(dataset.palette) == 2
    assert dataset.ignore_index == IGNORE_INDEX
    assert dataset.label_map == {"0": 0, "1": 1, "255": 255}


@pytest.mark.parametrize("cache", [True, False])
def test_cached_and_fresh_samples_are_the_same_and_may_be_changed(root, cache):
    dataset = build_dataset(config(root, cache=cache), "val")
    first, second = dataset[0], dataset[0]
    assert equal(first, second)
    second["mask"].zero_()
    second["image"].zero_()
    assert equal(first, dataset[0])
    assert (root / "cache").exists() == cache


def test_random_views_depend_on_seed_epoch_and_index_alone(root):
    options = config(root, crop=(16, 16))
    dataset = build_dataset(options, "train", augment=True, seed=3)
    late = dataset[4, 2]
    assert late["mask"].shape == (16, 16)
    for index in range(3):  # what was read before must not matter
        dataset[0, index]
    assert equal(dataset[4, 2], late)
    again = build_dataset(options, "train", augment=True, seed=3)
    assert equal(pickle.loads(pickle.dumps(again))[4, 2], late)
    assert not equal(dataset[5, 2], late)
    assert not equal(build_dataset(options, "train", augment=True, seed=4)[4, 2], late)
    assert equal(dataset[1], dataset[0, 1])


def test_whole_images_ignore_the_epoch(root):
    dataset = build_dataset(config(root, crop=(4, 4)), "val")
    assert equal(dataset[7, 0], dataset[0])


def test_indices_count_from_the_end_and_stop_at_it(root):
    dataset = build_dataset(config(root), "val")
    assert dataset[-1]["meta"]["id"] == "2"
    assert len(list(dataset)) == 3
    with pytest.raises(IndexError):
        dataset[3]


def test_edges_of_a_list_stay_aligned(root):
    image, mask = root / "train/images/0.png", root / "train/masks/0.png"
    rows = root / "train.csv"
    rows.write_text(f"{image},{mask},{mask}\n")
    options = config(
        root, name="list", lists={"train": rows}, crop=(12, 12), augment={"jitter": 0, "blur": 0}
    )
    sample = build_dataset(options, "train")[0]
    assert torch.equal(sample["edge"], sample["mask"])
    view = build_dataset(options, "train", augment=True)[0]
    assert view["edge"].shape == (12, 12)


def test_sizes_that_differ_are_refused_with_both_files(root):
    Image.new("L", (5, 6)).save(root / "val" / "masks" / "0.png")
    with pytest.raises(DataError, match=r"masks/0\.png is 5 x 6 .*images/0\.png is 30 x 20"):
        build_dataset(config(root), "val")[0]


def test_a_truncated_image_is_named(root):
    path = root / "val" / "images" / "0.png"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"images/0\.png is damaged"):
        build_dataset(config(root), "val")[0]


def test_an_unknown_label_is_named_also_on_the_second_reading(root):
    dataset = build_dataset(config(root, classes=("road",)), "val")
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"masks/0\.png holds values outside the 1 classes: 1\."
        ):
            dataset[0]


def test_a_record_without_label_map_is_refused(root):
    dataset = build_dataset(config(root), "val")
    dataset.records[0] = replace(dataset.records[0], mask=None)
    with pytest.raises(DataError, match="has no label map"):
        dataset[0]


def test_unknown_names_and_splits_are_refused(root):
    with pytest.raises(UnknownNameError, match="unknown data set 'camvit': did you mean 'camvid'"):
        build_dataset(config(root, name="camvit"), "train")
    with pytest.raises(DataError, match="unknown split 'vla'"):
        build_dataset(config(root), "vla")
    with pytest.raises(ConfigError, match="a seed is 0 or more, not -1"):
        build_dataset(config(root), "train", seed=-1)


def test_an_empty_split_is_refused(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        Image.new("L", (2, 2)).save(tmp_path / kind / "a.png")
    with pytest.raises(DataError, match="the split 'test' of the data set 'folder' is empty"):
        build_dataset(config(tmp_path, split_shares=(1, 0, 0)), "test")


def test_unnamed_classes_are_asked_for_with_the_values_found(root):
    with pytest.raises(DataError, match=r"give data\.classes .* hold: 0; 1; 255\."):
        build_dataset(config(root, classes=()), "val")


def test_colours_without_meaning_are_asked_for(root):
    for path in (root / "train" / "masks").iterdir():
        Image.new("RGB", (30, 20), (1, 2, 3)).save(path)
    with pytest.raises(ConfigError, match=r"give data\.palette one colour per class"):
        build_dataset(config(root), "train")
    with pytest.raises(DataError, match=r"hold: 1,2,3\."):
        build_dataset(config(root, classes=()), "train")
    labelled = build_dataset(config(root, label_map={"1,2,3": 1}), "train")
    assert (labelled[0]["mask"] == 1).all()
    assert labelled.palette[1] == (1, 2, 3)


def test_all_splits_are_read_alike_whatever_one_of_them_shows(root):
    for path in (root / "train" / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 255 * 255).save(path)
    for path in (root / "val" / "masks").iterdir():
        Image.fromarray(np.zeros_like(np.asarray(Image.open(path)))).save(path)
    splits = [build_dataset(config(root, classes=()), split) for split in ("train", "val")]
    assert [dataset.decoder.mask_format for dataset in splits] == ["binary", "binary"]
    assert splits[0].classes == ("background", "foreground")


def test_a_reader_of_another_package_is_found(root, monkeypatch):
    point = EntryPoint("theirs", "segloom.data.sets.folder:read", "segloom.datasets")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    assert len(build_dataset(config(root, name="theirs"), "train")) == 3
    assert "theirs" in readers.reader_names()
    assert set(DATASETS) <= set(readers.reader_names())


def test_jpeg_masks_of_real_lesions_are_cut_into_two_classes(shared, tmp_path):
    options = DataConfig(
        root=shared / "data" / "samples" / "skin_lesion",
        images="{split}x",
        masks="{split}y",
        cache_dir=tmp_path,
    )
    dataset = build_dataset(options, "val")
    for sample in dataset:
        assert sample["mask"].unique().tolist() == [0, 1]


def test_importing_the_package_does_not_import_torch():
    code = "import sys, segloom.data, segloom.data.readers; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = segloom.data.nothing
