"""Class-uniform sampling: exact lists, exact counts, the same on any number of processes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segloom.config.data import AugmentConfig, DataConfig
from segloom.data import build_dataset
from segloom.data.class_uniform import (
    Centroids,
    ClassUniform,
    class_uniform,
    epoch_counts,
    tile_centroids,
)
from segloom.data.loader import EpochSampler
from segloom.data.planes import PlainDecoder, Planes
from segloom.data.transforms import JointTransform, sample_generator
from segloom.errors import ConfigError, UnknownNameError


def test_centroids_equal_those_of_sfnet(recorded):
    """Fixture sf_eval_misc."""
    data = recorded("sf_eval_misc")
    table = np.full(256, 254, np.uint8)
    for stored, class_id in data.json("meta.id2train").items():
        table[int(stored)] = class_id
    found: dict[str, list[list[list[int]]]] = {}
    for label, row, column in tile_centroids(table[data.array("in.mask")], 16).tolist():
        found.setdefault(str(label), []).append([[column, row]])
    data.equal(found, "out.centroids", data.json("out.centroids"), kind="sampling")


def test_an_epoch_is_divided_as_sfnet_divides_it(recorded):
    """Fixture sf_eval_misc."""
    data = recorded("sf_eval_misc")
    case = data.json("meta.build_epoch")
    each, rest = epoch_counts(case["n"], case["classes"], case["pct"])
    found = [each * case["classes"], rest]
    expected = [case["uniform_part"], case["random_part"]]
    data.equal(found, "meta.build_epoch", expected, kind="sampling")


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.integers(0, 10**6))
def test_centroids_are_the_rounded_means_of_each_class_in_each_tile(height, width, tile, seed):
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 7, 255], np.uint8), (height, width))
    rows, columns = min(tile, height), min(tile, width)
    expected = []
    for top in range(0, height - rows + 1, rows):
        for left in range(0, width - columns + 1, columns):
            part = labels[top : top + rows, left : left + columns]
            for label in (0, 1, 7):
                places = np.argwhere(part == label)
                if len(places):
                    middle = places.sum(0) // len(places)
                    expected.append([label, top + middle[0], left + middle[1]])
    assert tile_centroids(labels, tile).tolist() == expected


def centroids(counts):
    """List ``counts[label]`` centroids of every class, in samples 0, 1, ... and row = label."""
    label = np.repeat(np.arange(len(counts)), counts)
    sample = np.concatenate([np.arange(count) for count in counts])
    return Centroids(
        sample.astype(np.int32),
        label.astype(np.uint8),
        label.astype(np.int32),
        np.zeros(len(label), np.int32),
    )


def test_an_epoch_shows_every_class_equally_often_and_keeps_its_length():
    plan = ClassUniform(centroids([40, 3, 0, 9]), 60, 4, 0.5, seed=1)
    keys = plan.keys(0)
    assert len(keys) == 60
    shown = Counter(key.center[0] for key in keys if key.center is not None)
    assert shown == {0: 7, 1: 7, 3: 7}  # the absent class gives its share to random crops
    rare = Counter(key.sample for key in keys if key.center is not None and key.center[0] == 1)
    assert sorted(rare.values()) == [2, 2, 3]  # none comes twice before all came once
    images = [key.sample for key in keys if key.center is None]
    assert len(set(images)) == len(images) == 60 - 21


def crops(keys):
    """Where the crops of an epoch lie, without its number."""
    return [(key.sample, key.center) for key in keys]


def test_an_epoch_depends_on_seed_and_number_alone():
    lists = centroids([40, 3])
    first = ClassUniform(lists, 60, 2, 0.5, seed=1)
    assert first.keys(3) == ClassUniform(lists, 60, 2, 0.5, seed=1).keys(3)
    assert crops(first.keys(3)) != crops(first.keys(4))
    assert crops(first.keys(3)) != crops(ClassUniform(lists, 60, 2, 0.5, seed=2).keys(3))


def test_every_epoch_draws_other_crops():
    """Both kinds of crop, random and class-uniform, change from each epoch to the next."""
    plan = ClassUniform(centroids([40, 30]), 60, 2, 0.5, seed=1)
    for is_random in (True, False):
        epochs = [
            crops(key for key in plan.keys(epoch) if (key.center is None) is is_random)
            for epoch in range(20)
        ]
        assert len({str(sorted(epoch, key=str)) for epoch in epochs}) == 20


@pytest.mark.parametrize("seed", range(10))
def test_no_place_comes_again_before_all_came(seed):
    plan = ClassUniform(centroids([40, 15, 7, 1]), 60, 4, 1.0, seed=seed)
    for epoch in range(5):
        for label, count in enumerate([40, 15, 7, 1]):
            keys = plan.keys(epoch)
            shown = Counter(key.sample for key in keys if key.center == (label, 0))
            assert shown.total() == 15
            # 15 of 40 once; all 15 once; all 7 twice, one of them three times; the one 15 times.
            assert len(shown) == min(15, count)
            assert max(shown.values()) - min(shown.values()) <= 1


def test_processes_share_the_epoch_and_a_resumed_one_goes_on():
    plan = ClassUniform(centroids([40, 3]), 60, 2, 0.5, seed=1)

    def keys(**options):
        sampler = EpochSampler(60, shuffle=True, seed=9, plan=plan, **options)
        sampler.set_epoch(2)
        return list(sampler)

    alone = keys()
    assert len(alone) == 60
    assert sorted(alone, key=str) == sorted(plan.keys(2), key=str)
    shares = [keys(rank=rank, world_size=2) for rank in (0, 1)]
    assert [key for pair in zip(*shares, strict=True) for key in pair] == alone
    assert keys(start=(2, 21)) == alone[21:]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 39),
    st.integers(0, 59),
    st.tuples(st.integers(4, 80), st.integers(4, 80)),
    st.integers(0, 10**6),
)
def test_the_crop_shows_the_centroid(row, column, crop, seed):
    mask = np.zeros((40, 60), np.uint8)
    # A blob of 5x5, so that shrinking by half does not lose it between two pixels.
    mask[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 1
    planes = Planes(np.zeros((40, 60, 3), np.uint8), mask)
    transform = JointTransform(AugmentConfig(scale=(0.5, 2.0)), crop)
    view = transform(planes, sample_generator(seed, 0, 0, 1), (row, column))
    assert view.mask.shape == crop
    assert (view.mask == 1).any()


def test_the_place_of_the_centroid_in_the_crop_varies():
    mask = np.zeros((100, 100), np.uint8)
    mask[50, 50] = 1
    planes = Planes(np.zeros((100, 100, 3), np.uint8), mask)
    transform = JointTransform(AugmentConfig(scale=(1, 1), flip=0), (20, 20))
    views = [transform(planes, sample_generator(0, 0, 0, n), (50, 50)) for n in range(200)]
    places = np.array([np.argwhere(view.mask == 1)[0] for view in views])
    assert places.min() == 0
    assert places.max() == 19


@pytest.fixture
def folder(tmp_path):
    """Four images of noise; the rare class lies in the lower right of the last one."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "train" / kind).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((32, 48), np.uint8)
        if number == 3:
            mask[20:30, 30:40] = 1
        Image.fromarray(mask).save(tmp_path / "train" / "masks" / f"{number}.png")
        image = Image.fromarray(rng.integers(0, 255, (32, 48, 3), np.uint8))
        image.save(tmp_path / "train" / "images" / f"{number}.png")
    return tmp_path


def options(root, **more):
    values = {
        "root": root,
        "classes": ("ground", "rare"),
        "mask_format": "index",
        "crop": (12, 12),
        "class_uniform": 1.0,
        "class_uniform_tile": 16,
        "cache_dir": root / "cache",
        **more,
    }
    return DataConfig(**values)


def test_a_rare_class_is_in_half_of_the_crops(folder):
    config = options(folder, augment=AugmentConfig(scale=(1, 1)))
    dataset = build_dataset(config, "train", augment=True)
    keys = class_uniform(config, dataset, 0).keys(0)
    rare = [key for key in keys if key.center and key.sample == 3 and key.center[0] >= 20]
    assert len(keys) == 4
    assert len(rare) >= 2
    assert all((dataset[key]["mask"] == 1).any() for key in rare[-2:])


def test_the_list_is_kept_and_made_anew_when_labels_change_or_it_is_damaged(folder):
    config = options(folder)

    def lists():
        return class_uniform(config, build_dataset(config, "train", augment=True), 0).centroids

    first = lists()
    (kept,) = (folder / "cache" / "class_uniform").glob("*.npz")
    content = kept.read_bytes()
    assert (lists().row == first.row).all()
    kept.write_bytes(content[:100])
    assert (lists().row == first.row).all()
    assert kept.read_bytes() == content
    Image.new("L", (48, 32), 1).save(folder / "train" / "masks" / "0.png")
    assert 0 in lists().sample[lists().label == 1]


def test_without_a_cache_nothing_is_written(folder):
    config = options(folder, cache=False)
    class_uniform(config, build_dataset(config, "train", augment=True), 0)
    assert not (folder / "cache").exists()


def test_the_coarse_set_adds_places_of_the_named_classes_only(tmp_path, cityscapes_tree):
    cityscapes_tree(tmp_path, {"train": ("aachen",)})
    cityscapes_tree(tmp_path, {"train_extra": ("nuremberg",)}, labels="gtCoarse")
    config = DataConfig(
        name="cityscapes",
        root=tmp_path,
        cache=False,
        crop=(8, 8),
        class_uniform=1.0,
        class_uniform_coarse=("bus",),
        augment=AugmentConfig(scale=(1, 1)),
    )
    dataset = build_dataset(config, "train", augment=True)
    assert len(dataset) == 2
    found = class_uniform(config, dataset, 0).centroids
    assert {*found.sample[found.label == 15].tolist()} == {0, 1, 2, 3}
    assert {*found.sample[found.label != 15].tolist()} == {0, 1}
    plan = ClassUniform(found, 60, 19, 1.0)
    coarse = [key for key in plan.keys(0) if key.center is not None and key.sample > 1]
    assert coarse
    assert all((dataset[key]["mask"] == 15).any() for key in coarse)
    assert dataset[coarse[0]]["meta"]["id"].startswith("nuremberg")
    with pytest.raises(IndexError):
        dataset[2]
    unknown = config.model_copy(update={"class_uniform_coarse": ("bussi",)})
    with pytest.raises(UnknownNameError, match=r"'bussi'.*bus"):
        class_uniform(unknown, dataset, 0)


def test_from_an_epoch_on_the_fine_images_alone_are_drawn_from(tmp_path, cityscapes_tree):
    cityscapes_tree(tmp_path, {"train": ("aachen",)})
    cityscapes_tree(tmp_path, {"train_extra": ("nuremberg",)}, labels="gtCoarse")
    changes = {"class_uniform": 1.0, "class_uniform_coarse": ("bus",)}
    config = DataConfig(name="cityscapes", root=tmp_path, cache=False, **changes)
    dataset = build_dataset(config, "train", augment=True)
    found = class_uniform(config, dataset, 0).centroids
    always = ClassUniform(found, 60, 19, 1.0)
    plan = class_uniform(config.model_copy(update={"class_uniform_until": 2}), dataset, 0)
    assert plan.until == 2
    # Samples 0 and 1 are finely labelled.
    plan = ClassUniform(
        found._replace(sample=np.where(found.sample < 2, found.sample, found.sample + 60)),
        60,
        19,
        1.0,
        until=2,
    )

    def drawn(plan: ClassUniform, epoch: int) -> set[bool]:
        return {key.sample >= 2 for key in plan.keys(epoch) if key.center is not None}

    assert drawn(plan, 0) == drawn(plan, 1) == {False, True}
    assert drawn(plan, 2) == drawn(plan, 9) == {False}
    assert drawn(always, 2) == {False, True}
    assert [len(plan.keys(epoch)) for epoch in (1, 2)] == [60, 60]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"class_uniform_until": 3}, "class_uniform_coarse, which is empty"),
        (
            {"class_uniform_until": 3, "class_uniform_coarse": ("rare",), "coarse": True},
            "part of the training set in every epoch",
        ),
        ({"class_uniform_until": 0, "class_uniform_coarse": ("rare",)}, "greater than or equal"),
    ],
)
def test_an_end_of_coarse_crops_that_are_not_drawn_is_refused(folder, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        options(folder, **changes)


def test_a_coarse_set_that_is_not_there_or_not_asked_for_is_refused(folder):
    config = options(folder, class_uniform_coarse=("rare",))
    with pytest.raises(ConfigError, match="coarse set, which the data set 'folder' does not have"):
        class_uniform(config, build_dataset(config, "train", augment=True), 0)
    with pytest.raises(ValueError, match="adds to class_uniform, which is 0"):
        options(folder, class_uniform=0, class_uniform_coarse=("rare",))


def test_labels_come_from_the_decoder_of_the_data_set(folder):
    class Turned(PlainDecoder):
        """Give every sample upside down."""

        def __call__(self, record, decoder):
            image, mask, edge = super().__call__(record, decoder)
            return Planes(image[::-1], mask[::-1], edge)

    config = options(folder, cache=False, class_uniform_tile=100)
    dataset = build_dataset(config, "train", augment=True)
    dataset.decode = Turned()
    found = class_uniform(config, dataset, 0).centroids
    assert found.row[found.label == 1].tolist() == [31 - 25]
    assert found.column[found.label == 1].tolist() == [34]
