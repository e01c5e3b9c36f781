"""Cityscapes as released, as its archives unpack, and as users break it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data import build_dataset
from segloom.data.readers import read_labelled_source
from segloom.data.sets.cityscapes import CITYSCAPES, find_test_images, read
from segloom.data.sets.cityscapes_labels import LABEL_IDS, LABELS
from segloom.data.sets.dlse_classes import DLSE_CLASSES
from segloom.data.tools.download import find_download
from segloom.data_check import check
from segloom.errors import ConfigError, DataError, NoSplitError

CITIES = {"train": ("aachen", "zurich"), "val": ("munster",), "test": ("berlin",)}
TRAIN_CITIES = [
    *("aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf", "erfurt", "hamburg"),
    *("hanover", "jena", "krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen"),
    *("ulm", "weimar", "zurich"),
]
VAL_CITIES = ["frankfurt", "lindau", "munster"]


def config(root, **options):
    return DataConfig(name="cityscapes", root=root, cache=False, **options)


def decoded(root, split="train", **options):
    source, _, decoder = read_labelled_source(config(root, **options), split)
    return decoder.decode(source.records[0].mask)


def test_label_ids_of_the_19_classes_are_those_of_the_server():
    pairs = "7 8 11 12 13 17 19 20 21 22 23 24 25 26 27 28 31 32 33"
    assert list(LABEL_IDS) == [int(number) for number in pairs.split()]
    assert [LABELS[number].train_id for number in LABEL_IDS] == list(range(19))
    assert len(CITYSCAPES.classes) == 19
    assert CITYSCAPES.classes[::18] == ("road", "bicycle")


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds", "color"])
def test_every_kind_of_label_file_gives_training_ids(tmp_path, kind, cityscapes_tree):
    ids = decoded(cityscapes_tree(tmp_path, CITIES, kinds=(kind,)))
    expected = [255 if label.train_id is None else label.train_id for label in LABELS]
    if kind == "color":
        expected[18] = 5  # a pole group has the colour of a pole
    assert ids[:, 0].tolist() == expected


def test_label_ids_are_taken_before_the_others_unless_colours_are_asked_for(
    tmp_path, cityscapes_tree
):
    cityscapes_tree(tmp_path, CITIES)
    assert read(config(tmp_path), "train").records[0].mask.stem.endswith("_labelIds")
    colors = read(config(tmp_path, mask_format="color"), "train")
    assert colors.records[0].mask.stem.endswith("_color")
    with pytest.raises(ConfigError, match="no binary label maps"):
        read(config(tmp_path, mask_format="binary"), "train")


def test_splits_hold_the_images_of_their_cities(tmp_path, cityscapes_tree):
    cityscapes_tree(tmp_path, CITIES)
    names = {
        split: [r.id for r in read(config(tmp_path), split).records]
        for split in CITIES
        if split != "test"
    }
    assert names["train"] == [
        f"{city}_{frame:06}_000019" for city in ("aachen", "zurich") for frame in (0, 1)
    ]
    assert names["val"] == ["munster_000000_000019", "munster_000001_000019"]


@pytest.mark.parametrize(
    "outer", ["leftImg8bit_trainvaltest", "leftImg8bit_trainvaltest/leftImg8bit"]
)
def test_the_folders_of_the_archives_are_found(tmp_path, outer, cityscapes_tree):
    cityscapes_tree(tmp_path / "old", CITIES)
    for kind, place in (("leftImg8bit", outer), ("gtFine", outer.replace("leftImg8bit", "gtFine"))):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / kind).rename(tmp_path / place)
    assert len(read(config(tmp_path), "train").records) == 4
    assert list(find_test_images(tmp_path)) == ["berlin_000000_000019", "berlin_000001_000019"]


@pytest.mark.parametrize(
    ("fold", "held_out"),
    [
        (0, VAL_CITIES),
        (1, ["darmstadt", "dusseldorf", "erfurt"]),
        (2, ["monchengladbach", "strasbourg", "stuttgart"]),
    ],
)
def test_folds_hold_out_three_cities_each(tmp_path, fold, held_out, cityscapes_tree):
    cityscapes_tree(
        tmp_path, {"train": tuple(TRAIN_CITIES), "val": tuple(VAL_CITIES)}, frames=1, size=(2, 2)
    )
    options = config(tmp_path, fold=fold)
    cities = {
        split: {record.id.partition("_")[0] for record in read(options, split).records}
        for split in ("train", "val")
    }
    assert cities["val"] == set(held_out)
    assert cities["train"] == {*TRAIN_CITIES, *VAL_CITIES} - set(held_out)


def test_the_coarse_set_joins_training_when_asked(tmp_path, cityscapes_tree):
    cityscapes_tree(tmp_path, CITIES)
    with pytest.raises(DataError, match=r"no images leftImg8bit/train_extra; unpack the archive"):
        read(config(tmp_path, coarse=True), "train")
    cityscapes_tree(tmp_path, {"train_extra": ("nuremberg",)}, labels="gtCoarse")
    names = [record.id for record in read(config(tmp_path, coarse=True), "train").records]
    assert len(names) == 6
    assert names[-1].startswith("nuremberg")
    assert len(read(config(tmp_path, coarse=True), "val").records) == 2
    boosted = read(config(tmp_path, class_uniform=0.5, class_uniform_coarse=("bus",)), "train")
    assert (len(boosted.records), len(boosted.extra)) == (4, 2)


def test_test_labels_are_kept_by_the_server_or_all_void(
    tmp_path, cityscapes_tree, cityscapes_labels
):
    cityscapes_tree(tmp_path, CITIES)
    with pytest.raises(NoSplitError, match=r"server keeps them.*segloom submit cityscapes"):
        read(config(tmp_path), "test")
    for name in find_test_images(tmp_path):
        dummy = tmp_path / "gtFine" / "test" / "berlin" / f"{name}_gtFine"
        cityscapes_labels(dummy, np.zeros((34, 8), np.uint8), ("color",))
    assert (decoded(tmp_path, "test") == 255).all()


def test_an_image_without_a_label_map_is_named(tmp_path, cityscapes_tree):
    cityscapes_tree(tmp_path, CITIES)
    (tmp_path / "gtFine/train/zurich/zurich_000001_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(DataError, match=r"zurich_000001_000019_leftImg8bit\.png has no label map"):
        read(config(tmp_path), "train")


def test_a_split_without_any_label_map_is_told_from_one_without_images(tmp_path, cityscapes_tree):
    cityscapes_tree(tmp_path, {"train": ("aachen",)}, kinds=())
    with pytest.raises(
        DataError, match=r"no label maps gtFine/train/CITY/\*_gtFine_labelIds.png or"
    ):
        read(config(tmp_path), "train")
    with pytest.raises(NoSplitError, match="no images leftImg8bit/val"):
        read(config(tmp_path), "val")
    cityscapes_tree(tmp_path, {"train": ("aachen",)})
    with pytest.raises(DataError, match=r"no images leftImg8bit/val, which data\.fold divides"):
        read(config(tmp_path, fold=1), "train")


def test_a_label_map_of_another_size_is_named(tmp_path, cityscapes_tree):
    cityscapes_tree(tmp_path, CITIES)
    path = tmp_path / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    Image.fromarray(np.full((30, 8), 7, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"aachen_000000_000019_gtFine_labelIds.png is 8 x 30"):
        build_dataset(config(tmp_path), "train")[0]


def test_a_label_outside_the_set_is_named(tmp_path, cityscapes_tree):
    cityscapes_tree(tmp_path, CITIES)
    path = tmp_path / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    Image.fromarray(np.full((34, 8), 77, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"labelIds.png holds values outside the 19 classes: 77"):
        decoded(tmp_path)


def test_a_folder_without_cityscapes_is_told_how_to_get_it(tmp_path):
    for call in (lambda: read(config(tmp_path), "train"), lambda: find_download("cityscapes")):
        with pytest.raises(DataError, match=r"needs a login: register at https://www.cityscapes"):
            call()


def test_the_check_knows_the_data_set(tmp_path, cityscapes_tree):
    report = check(cityscapes_tree(tmp_path, CITIES))
    assert report.is_fine
    assert report.options == {"name": "cityscapes", "root": str(tmp_path)}
    assert {split: count.pairs for split, count in report.splits.items()} == {"train": 4, "val": 2}
    assert any("server keeps them" in finding.message for finding in report.findings)


@pytest.mark.parametrize("split", ["train", "val"])
def test_colours_of_the_samples_give_their_training_ids(shared, split):
    root = shared / "data" / "samples" / "cityscapes"
    by_id, by_color = config(root), config(root, mask_format="color")
    source, labels, decoder = read_labelled_source(by_id, split)
    colored, _, from_color = read_labelled_source(by_color, split)
    assert labels == CITYSCAPES
    assert len(source.records) == 5
    for first, second in zip(source.records, colored.records, strict=True):
        assert first.id == second.id
        np.testing.assert_array_equal(decoder.decode(first.mask), from_color.decode(second.mask))


@pytest.mark.parametrize("kind", ["labelIds", "color"])
def test_the_scheme_of_dlse_has_a_class_per_colour(tmp_path, cityscapes_tree, kind):
    cityscapes_tree(tmp_path, CITIES, kinds=(kind, "labelTrainIds"))
    source, labels, decoder = read_labelled_source(config(tmp_path, scheme="dlse"), "train")
    ids = decoder.decode(source.records[0].mask)[:, 0].tolist()
    assert labels == DLSE_CLASSES
    assert [labels.palette[class_id] for class_id in ids] == [label.color for label in LABELS]
    assert ids[:5] == [3] * 5


def test_the_scheme_of_dlse_takes_unknown_colours_as_neutral_and_needs_more_than_training_ids(
    tmp_path, cityscapes_tree
):
    cityscapes_tree(tmp_path, CITIES, kinds=("color",))
    path = tmp_path / "gtFine/train/aachen/aachen_000000_000019_gtFine_color.png"
    Image.new("RGB", (8, 34), (9, 8, 7)).save(path)
    assert (decoded(tmp_path, scheme="dlse") == 3).all()
    cityscapes_tree(tmp_path / "ids", CITIES, kinds=("labelTrainIds",))
    with pytest.raises(DataError, match=r"no label maps .*labelIds\.png or .*color\.png"):
        read(config(tmp_path / "ids", scheme="dlse"), "train")
