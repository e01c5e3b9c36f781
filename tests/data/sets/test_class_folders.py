"""A folder of masks per class: what is read, and what is refused with which sentence."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from support.class_masks import CLASSES, save, write_split

from segloom.config import DataConfig
from segloom.data import build_dataset, build_loader
from segloom.data.statistics import class_weights, count_classes
from segloom.data.tools.write_lists import write_lists
from segloom.errors import ConfigError, DataError, UnknownNameError
from segloom.labels.bits import class_map


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    truth = {split: write_split(root, split, 4) for split in ("train", "val")}
    return root, truth


def options(root, **changes) -> DataConfig:
    return DataConfig(root=root, mask_format="multilabel", cache=False, **changes)


def masks(dataset) -> dict[str, np.ndarray]:
    return {sample["meta"]["id"]: sample["mask"].numpy() for sample in dataset}


@pytest.mark.parametrize("bright", [255, 1])
@pytest.mark.parametrize("classes", [(), ("disc", "bar")])
def test_bits_are_the_masks_of_the_files(tmp_path, bright, classes):
    truth = write_split(tmp_path, "train", 4, bright=bright)
    dataset = build_dataset(options(tmp_path, classes=classes), "train")
    assert dataset.classes == (classes or CLASSES)
    assert dataset.labels.is_multilabel
    read = masks(dataset)
    assert set(read) == set(truth)
    both = 0
    for name, labels in read.items():
        for index, label in enumerate(dataset.classes):
            expected = truth[name][CLASSES.index(label)]
            np.testing.assert_array_equal(class_map(labels, index, 2), expected)
        both += int((labels == 3).sum())
    assert both > 0  # the classes do overlap
    assert not class_map(read["p3"], dataset.classes.index("bar"), 2).any()  # it has no file


def test_the_cache_gives_the_same_and_sees_a_mask_that_is_added(data, tmp_path):
    root, truth = data
    config = options(root).model_copy(update={"cache": True, "cache_dir": tmp_path / "cache"})
    for _ in "first", "again":
        read = masks(build_dataset(config, "train"))
        np.testing.assert_array_equal(class_map(read["p0"], 0, 2), truth["train"]["p0"][0])
    shape = truth["train"]["p3"][0].shape
    save(root / "train/masks/bar/p3.png", np.full(shape, 255, np.uint8))
    assert class_map(masks(build_dataset(config, "train"))["p3"], 0, 2).all()
    swapped = config.model_copy(update={"classes": ("disc", "bar")})
    read = masks(build_dataset(swapped, "train"))
    np.testing.assert_array_equal(class_map(read["p0"], 1, 2), truth["train"]["p0"][0])


def test_a_random_view_keeps_every_class_on_its_pixels_and_pads_with_void(data):
    root, truth = data
    config = options(root, crop=(64, 64), augment={"scale": (1, 1), "rotate": 0, "flip": 0})
    dataset = build_dataset(config, "train", augment=True)
    batch = next(iter(build_loader(dataset, batch_size=4, shuffle=False)))
    for mask, meta in zip(batch["mask"].numpy(), batch["meta"], strict=True):
        expected = truth["train"][meta["id"]]
        rows, columns = np.nonzero(mask != 255)
        inside = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        for index in range(2):
            np.testing.assert_array_equal(class_map(inside, index, 2), expected[index])
    turned = options(root, crop=(24, 24), augment={"scale": (0.5, 2), "rotate": 90})
    values = [sample["mask"] for sample in build_dataset(turned, "train", augment=True, seed=3)]
    assert set(np.unique(np.stack(values)).tolist()) <= {0, 1, 2, 3, 255}


def test_classes_are_counted_with_their_overlap(data):
    root, truth = data
    counts = count_classes(build_dataset(options(root), "train"))
    present = list(truth["train"].values())
    pixels = [sum(int(one[k].sum()) for one in present) for k in (0, 1)]
    everything = sum(one[0].size for one in present)
    assert counts.pixels.tolist() == pixels
    assert counts.image_pixels.tolist() == [everything - present[3][0].size, everything]
    assert counts.labelled_pixels == everything
    expected = 1 / np.log(1.02 + np.array(pixels) / everything)
    np.testing.assert_allclose(class_weights(counts, "log"), expected)
    assert set(class_weights(counts, "none")) == {1.0}


def test_a_value_may_mean_void(data):
    root, truth = data
    path = root / "train/masks/disc/p1.png"
    pixels = np.array(Image.open(path))
    pixels[:3] = 128
    save(path, pixels)
    with pytest.raises(DataError, match=r"disc/p1.png holds 128, but a mask of one class holds 0"):
        build_dataset(options(root), "train")[1]
    labels = build_dataset(options(root, ignore_values=(128,)), "train")[1]["mask"].numpy()
    assert (labels[:3] == 255).all()
    np.testing.assert_array_equal(class_map(labels, 0, 2)[3:], truth["train"]["p1"][0][3:])


def test_zero_one_and_255_together_need_a_word(tmp_path):
    root, truth = tmp_path, {"train": write_split(tmp_path, "train", 4, bright=1)}
    path = root / "train/masks/disc/p1.png"
    pixels = truth["train"]["p1"][1].astype(np.uint8)
    pixels[0] = 255
    save(path, pixels)
    with pytest.raises(
        DataError, match=r"disc/p1.png holds both 1 and 255; .*ignore_values: \[255"
    ):
        build_dataset(options(root), "train")[1]
    labels = build_dataset(options(root, ignore_values=(255,)), "train")[1]["mask"].numpy()
    assert (labels[0] == 255).all()
    np.testing.assert_array_equal(class_map(labels, 1, 2)[1:], truth["train"]["p1"][1][1:])


def test_bit_files_palettes_and_jpegs_are_read(data):
    root, truth = data
    disc = truth["train"]["p0"][1]
    folder = root / "train/masks/disc"
    (folder / "p0.png").unlink()
    inverse = Image.fromarray((~disc).astype(np.uint8))
    inverse.putpalette([255, 255, 255, 0, 0, 0])  # index 0 is white
    smeared = Image.fromarray((disc * 255).astype(np.uint8))
    for name, image in {
        "p0.bmp": Image.fromarray(disc),
        "p0.gif": inverse,
        "p0.jpg": smeared,
    }.items():
        image.save(folder / name)
        labels = build_dataset(options(root), "train")[0]["mask"].numpy()
        assert (class_map(labels, 1, 2) == disc).mean() > 0.97
        assert name == "p0.jpg" or (class_map(labels, 1, 2) == disc).all()
        (folder / name).unlink()


def damage_size(root):
    save(root / "train/masks/bar/p0.png", np.zeros((5, 6), np.uint8))


def damage_file(root):
    (root / "train/masks/bar/p0.png").write_bytes(b"no image")


def damage_color(root):
    colors = np.array([[0, 0, 0], [200, 9, 3], [9, 200, 3]], np.uint8)
    stripes = np.arange(40) % 3 + np.zeros((32, 1), int)
    save(root / "train/masks/bar/p0.png", colors[stripes])


def damage_folder(root):
    for path in (root / "train/masks/bar").iterdir():
        path.unlink()
    (root / "train/masks/bar").rmdir()


def damage_names(root):
    for path in (root / "train/masks/bar").iterdir():
        path.rename(path.with_name(f"x{path.name}"))


def damage_twice(root):
    for part in "ab":
        save(root / f"train/masks/bar/{part}/p3.png", np.zeros((32, 40), np.uint8))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (damage_size, r"mask .*bar/p0.png is 6 x 5 pixels but its image .*p0.png is 40 x 32"),
        (damage_file, r"bar/p0.png is damaged, cut short or no image"),
        (damage_color, r"bar/p0.png holds colours; export it as 0 and 255"),
        (damage_folder, r"there is no folder .*masks/bar for the class 'bar'; add it \(empty"),
        (damage_names, r"none of the 3 masks in .*masks/bar has the stem of an image"),
        (damage_twice, r"image .*p3.png has 2 masks in .*masks/bar .*keep one"),
    ],
)
def test_damage_is_one_sentence(data, damage, sentence):
    root, _ = data
    damage(root)
    with pytest.raises(DataError, match=sentence):
        build_dataset(options(root), "train")[0]


def test_folders_that_are_no_classes_are_refused(tmp_path, data):
    root, _ = data
    with pytest.raises(DataError, match=r"no folder .*/cat for the class 'cat'"):
        build_dataset(options(root, classes=("bar", "cat")), "train")
    with pytest.raises(ConfigError, match=r"names '\.\./images', but .* name of a folder"):
        build_dataset(options(root, classes=("bar", "../images")), "train")
    save(tmp_path / "flat/train/images/a.png", np.zeros((4, 4, 3), np.uint8))
    save(tmp_path / "flat/train/masks/a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"no folder per class in"):
        build_dataset(options(tmp_path / "flat"), "train")
    for index in range(54):
        (root / f"train/masks/c{index}").mkdir()
    with pytest.raises(ConfigError, match=r"takes 1 to 55 classes.*but there are 56"):
        build_dataset(options(root), "train")


def test_a_folder_of_all_splits_is_divided(tmp_path):
    truth = write_split(tmp_path, "train", 12)
    config = options(tmp_path / "train", images="images", masks="masks")
    found = [masks(build_dataset(config, split)) for split in ("train", "val", "test")]
    assert sum(map(len, found)) == 12
    for name, labels in {k: v for part in found for k, v in part.items()}.items():
        np.testing.assert_array_equal(class_map(labels, 1, 2), truth[name][1])


def test_other_readers_lists_and_options_of_exclusive_classes_are_refused(data, tmp_path):
    root, _ = data
    with pytest.raises(ConfigError, match=r"folder and mask_files; label maps of camvid"):
        build_dataset(options(root, name="camvid"), "train")
    with pytest.raises(UnknownNameError):
        build_dataset(options(root, name="folders"), "train")
    with pytest.raises(DataError, match=r"lists have one label map per image"):
        write_lists(options(root), tmp_path / "lists")
    for changes, part in (
        ({"class_uniform": 0.5}, "class_uniform draws crops by the one class"),
        ({"label_map": {"0": 1}}, "the folder is the class"),
        ({"ignore_values": (0,)}, "no background"),
    ):
        with pytest.raises(ValidationError, match=part):
            options(root, **changes)


def test_the_usual_reader_hints_at_folders_of_classes(data):
    root, _ = data
    with pytest.raises(DataError, match=r"class or an object, set data.name: mask_files"):
        build_dataset(DataConfig(root=root, cache=False, classes=("a", "b")), "train")
