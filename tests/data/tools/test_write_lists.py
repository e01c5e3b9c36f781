"""Lists that segloom writes are lists that it reads."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from segloom.cli.main import main
from segloom.config.data import DataConfig
from segloom.config.load import read_config
from segloom.data import build_dataset
from segloom.data.readers import read_source
from segloom.data.sets.dlse_classes import DLSE_NEUTRAL
from segloom.data.tools.write_lists import write_lists
from segloom.errors import DataError

CITIES = {"train": ("aachen", "ulm"), "val": ("munster",), "test": ("berlin",)}


@pytest.fixture
def edges(tmp_path, cityscapes_tree):
    """Edge maps named as label maps, as DLSE keeps them, and in another order."""
    root = cityscapes_tree(tmp_path / "data", CITIES)
    for path in sorted(root.glob("gtFine/*/*/*_color.png"), reverse=True):
        place = tmp_path / "edges" / path.parent.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 34)).save(place)
    return tmp_path / "edges"


def test_image_label_and_edge_are_matched_by_name_and_read_back(tmp_path, edges, capsys):
    words = ["data", "list", "cityscapes", "--data.root", str(tmp_path / "data")]
    out = tmp_path / "lists"
    assert main([*words, "--out", str(out), "--edges", str(edges)]) == 0
    assert "val.csv: 2 samples" in capsys.readouterr().out
    assert not (out / "test.csv").exists()  # its labels are kept by the server
    config = DataConfig(name="list", lists={"train": out / "train.csv"})
    records = read_source(config, "train").records
    assert len(records) == 4
    for record in records:
        name = record.image.stem.removesuffix("_leftImg8bit")
        assert record.mask.name == f"{name}_gtFine_labelIds.png"
        assert record.edge.name == f"{name}_gtFine_color.png"


def test_without_edges_there_are_two_columns(tmp_path, cityscapes_tree):
    config = DataConfig(name="cityscapes", root=cityscapes_tree(tmp_path, CITIES))
    assert write_lists(config, tmp_path / "lists").counts == {"train": 4, "val": 2}
    first, second = (tmp_path / "lists" / "val.csv").read_text().splitlines()[:2]
    assert first == "image,label"
    assert len(second.split(",")) == 2


def test_a_sample_without_an_edge_map_is_named(tmp_path, edges):
    (edges / "train" / "ulm_000001_000019_gtFine_color.png").unlink()
    config = DataConfig(name="cityscapes", root=tmp_path / "data")
    with pytest.raises(DataError, match=r"ulm_000001_000019_leftImg8bit\.png has 0 edge maps"):
        write_lists(config, tmp_path / "lists", edges)
    with pytest.raises(DataError, match="nowhere is not a folder"):
        write_lists(config, tmp_path / "lists", tmp_path / "nowhere")


def check_equal_masks(config: DataConfig, out) -> dict:
    """Write lists and compare every sample as read through them with the reader's own."""
    written = write_lists(config, out)
    options = read_config(written.options).data
    assert options.name == "list"
    for split in written.counts:
        own = build_dataset(config, split)
        listed = build_dataset(options.model_copy(update={"cache": False}), split)
        assert listed.labels == own.labels
        assert len(listed) == len(own)
        for number in range(len(own)):
            np.testing.assert_array_equal(listed.read(number).mask, own.read(number).mask)
            np.testing.assert_array_equal(listed.read(number).image, own.read(number).image)
    return written.counts


@pytest.mark.parametrize(
    ("kinds", "changes"),
    [
        (("labelIds",), {}),
        (("labelTrainIds",), {}),
        (("color",), {}),
        (("labelIds",), {"scheme": "dlse"}),
        (("color",), {"scheme": "dlse"}),
        (("labelIds",), {"classes": ("ground", "other"), "label_map": {
            str(number): int(number > 8) for number in range(34)}}),
        (("labelTrainIds",), {"ignore_values": (3, 4)}),
    ],
)  # fmt: skip
def test_lists_mean_the_classes_of_cityscapes(tmp_path, cityscapes_tree, kinds, changes):
    root = cityscapes_tree(tmp_path / "data", CITIES, kinds=kinds)
    config = DataConfig(name="cityscapes", root=root, cache=False, **changes)
    assert check_equal_masks(config, tmp_path / "lists") == {"train": 4, "val": 2}


def test_lists_give_unknown_colours_the_class_that_the_scheme_of_dlse_gives(
    tmp_path, cityscapes_tree
):
    root = cityscapes_tree(tmp_path / "data", CITIES, kinds=("color",))
    path = root / "gtFine/train/aachen/aachen_000000_000019_gtFine_color.png"
    Image.new("RGB", (8, 34), (9, 8, 7)).save(path)
    config = DataConfig(name="cityscapes", root=root, scheme="dlse", cache=False)
    check_equal_masks(config, tmp_path / "lists")
    options = read_config(tmp_path / "lists" / "data.yaml").data
    assert (build_dataset(options, "train").read(0).mask == DLSE_NEUTRAL).all()


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def make_pairs(root, images, masks, values, ending=".png", mask_ending=".png"):
    """Save two images with label maps of the values ``(n,)`` or ``(n, 3)``, one per row."""
    for number in range(2):
        labels = np.repeat(np.asarray(values, np.uint8)[:, None], 5, axis=1)
        save(root / images / f"s{number}{ending}", np.full((*labels.shape[:2], 3), number, "u1"))
        save(root / masks / f"s{number}{mask_ending}", labels)


def test_lists_mean_the_classes_of_other_readers(tmp_path):
    for split in ("train", "val", "test"):
        make_pairs(tmp_path / "camvid", split, f"{split}annot", range(12))
        make_pairs(tmp_path / "folder", f"{split}/images", f"{split}/masks", (0, 7, 9, 255))
    for split in ("training", "validation"):
        make_pairs(tmp_path / "ade", f"images/{split}", f"annotations/{split}", range(151))
        name = split.capitalize()
        images, masks = f"ISIC2018_Task1-2_{name}_Input", f"ISIC2018_Task1_{name}_GroundTruth"
        make_pairs(tmp_path / "isic", images, masks, (0, 255), mask_ending="_segmentation.png")
    folder = {"classes": ("a", "b"), "label_map": {"0": 0, "7": 1, "9": 1}}
    scenes = {"num_scenes": (2, 1, 1), "scene_size": (32, 32)}
    for name, place, changes in (
        ("camvid", "camvid", {}),
        ("ade20k", "ade", {}),
        ("isic", "isic", {}),
        ("folder", "folder", folder),
        ("scenes", "scenes", scenes),
    ):
        config = DataConfig(name=name, root=tmp_path / place, cache=False, **changes)
        assert check_equal_masks(config, tmp_path / "lists" / name)["train"] == 2


def test_the_original_camvid_keeps_its_merge(tmp_path):
    for stem in ("0001TP_006690", "0016E5_07959", "Seq05VD_f00000"):
        save(tmp_path / f"701_StillsRaw_full/{stem}.png", np.zeros((4, 5, 3), np.uint8))
        colors = np.array([(128, 64, 128), (0, 0, 192), (0, 0, 0), (60, 40, 222)], np.uint8)
        labels = np.repeat(colors[:, None], 5, axis=1)
        save(tmp_path / f"LabeledApproved_full/{stem}_L.png", labels)
    config = DataConfig(name="camvid", root=tmp_path, cache=False)
    assert check_equal_masks(config, tmp_path / "lists") == {"train": 1, "val": 1, "test": 1}


def test_a_split_that_fails_leaves_no_list_at_all(tmp_path, edges):
    (edges / "val" / "munster_000001_000019_gtFine_color.png").unlink()
    config = DataConfig(name="cityscapes", root=tmp_path / "data")
    with pytest.raises(DataError, match=r"munster_000001.* has 0 edge maps"):
        write_lists(config, tmp_path / "lists", edges)
    assert not (tmp_path / "lists").exists()


def test_the_edge_maps_of_a_folder_go_into_its_lists(tmp_path):
    for split in ("train", "val"):
        make_pairs(tmp_path, f"{split}/images", f"{split}/masks", (0, 1))
        for number in range(2):
            save(tmp_path / split / "edges" / f"s{number}.png", np.zeros((2, 5), np.uint8))
    config = DataConfig(root=tmp_path, edges="{split}/edges", classes=("a", "b"), cache=False)
    written = write_lists(config, tmp_path / "lists")
    for record in read_source(read_config(written.options).data, "val").records:
        assert record.edge == tmp_path / "val" / "edges" / record.image.name


def test_samples_that_are_no_pair_of_files_are_refused(tmp_path, capsys):
    for split in ("train", "val"):
        folder = tmp_path / "coco" / split
        save(folder / "a.png", np.zeros((4, 4, 3), np.uint8))
        content = {
            "images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 4}],
            "categories": [{"id": 1, "name": "cat"}],
            "annotations": [],
        }
        (folder / "labels.json").write_text(json.dumps(content))
        lits = tmp_path / "lits" / split
        lits.mkdir(parents=True)
        for kind in ("volume", "segmentation"):
            np.save(lits / f"{kind}-1_1.npy", np.zeros((4, 4), np.uint8))
    out = tmp_path / "lists"
    for name, file in (("coco", "labels.json"), ("lits", "segmentation-1_1.npy")):
        words = ["data", "list", name, "--data.root", str(tmp_path / name), "--out", str(out)]
        assert main(words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert f"the reader {name} makes its samples from other files" in line
        assert file in line
        assert f"--data.name {name}" in line
    assert not out.exists()


def test_splits_of_different_label_files_are_refused(tmp_path, cityscapes_tree):
    root = cityscapes_tree(tmp_path, {"train": ("ulm",)}, kinds=("labelIds",))
    cityscapes_tree(root, {"val": ("munster",)}, kinds=("labelTrainIds",))
    with pytest.raises(DataError, match=r"maps of val hold other values than those of train"):
        write_lists(DataConfig(name="cityscapes", root=root), tmp_path / "lists")
    assert not (tmp_path / "lists").exists()
