"""Generated scenes are reproducible, complete, hard for colour alone, and kept in a cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data.sets import scenes as scene_store
from segloom.data.sets.camvid import CAMVID
from segloom.data.sets.scenes import generator_key, read, scenes_folder
from segloom.errors import ConfigError, DataError
from segloom.scenes import make_scene
from segloom.scenes.camera import NEAR, Camera
from segloom.scenes.canvas import CAR, VOID, Canvas
from segloom.scenes.finish import mark_void
from segloom.scenes.noise import TILE, cloud_tile, cut_noise, grain_tile

SMALL = (64, 96)
DIGEST = (
    "import hashlib, sys; sys.path[:0] = {path!r}\n"
    "from segloom.scenes.scene import make_scene\n"
    "image, mask = make_scene(3, 'val', 7, size=(64, 96))\n"
    "print(hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest())\n"
    "assert 'torch' not in sys.modules\n"
)


def config(folder: Path, **options: object) -> DataConfig:
    return DataConfig(
        name="scenes",
        cache_dir=folder,
        **{"num_scenes": (3, 2, 1), "scene_size": SMALL, **options},
    )


@pytest.fixture(scope="module")
def scenes():
    """Twelve training and eight test scenes at the default size."""
    train = [make_scene(0, "train", index) for index in range(12)]
    return train, [make_scene(0, "test", index) for index in range(8)]


def mean_iou(prediction, truth) -> float:
    known = truth != VOID
    pairs = truth[known].astype(np.int64) * 11 + prediction[known]
    matrix = np.bincount(pairs, minlength=121).reshape(11, 11)
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    return float((np.diag(matrix) / np.maximum(union, 1)).mean())


def pixels(scenes):
    images = np.concatenate([image.reshape(-1, 3) for image, _ in scenes])
    return images, np.concatenate([mask.ravel() for _, mask in scenes])


# One scene


def test_a_scene_is_a_picture_with_class_ids_of_its_size():
    image, mask = make_scene(0, "train", 0, size=(70, 90))
    assert (image.shape, image.dtype) == ((70, 90, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((70, 90), np.uint8)
    assert set(np.unique(mask)) <= {*range(11), VOID}


def test_a_scene_depends_on_seed_split_and_index_alone():
    first = make_scene(0, "train", 4, size=SMALL)
    make_scene(1, "test", 9, size=SMALL)
    again = make_scene(0, "train", 4, size=SMALL)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    for other in ((1, "train", 4), (0, "val", 4), (0, "train", 5)):
        assert not np.array_equal(first[0], make_scene(*other, size=SMALL)[0])


def test_another_process_draws_the_same_pixels():
    code = DIGEST.format(path=sys.path)
    found = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_global_random_state_is_neither_used_nor_changed():
    np.random.seed(0)  # noqa: NPY002 - the legacy state is what is guarded
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - likewise
    make_scene(0, "train", 0, size=SMALL)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002 - likewise


@pytest.mark.parametrize("size", [(32, 32), (33, 200), (200, 33), (101, 77)])
def test_any_size_can_be_drawn(size):
    for index in range(4):
        image, mask = make_scene(5, "test", index, size=size)
        assert image.shape[:2] == mask.shape == size


def test_many_seeds_draw_without_a_warning():
    for seed in range(25):
        make_scene(seed, "train", seed, size=(40, 56))


# The whole set


def test_every_class_occurs_in_every_split(scenes):
    for split in scenes:
        _, labels = pixels(split)
        assert set(range(11)) <= set(np.unique(labels))


def test_small_classes_are_small_and_road_is_large(scenes):
    _, labels = pixels(scenes[0])
    share = np.bincount(labels[labels != VOID], minlength=11) / (labels != VOID).sum()
    road, rare = share[3], [share[i] for i in (2, 6, 9, 10)]
    assert road > 0.15
    assert all(0.0003 < part < 0.06 for part in rare)


def test_scenes_hold_many_small_objects(scenes):
    import cv2

    small = 0
    for _, mask in scenes[0]:
        for class_id in (2, 6, 9, 10):
            areas = cv2.connectedComponentsWithStats((mask == class_id).astype(np.uint8))[2][1:, 4]
            small += int(((areas >= 4) & (areas < 1024)).sum())
    assert small / len(scenes[0]) > 8


def test_void_is_rare_and_mostly_at_outlines(scenes):
    import cv2

    _, labels = pixels(scenes[0])
    assert 0.005 < (labels == VOID).mean() < 0.08
    _, mask = make_scene(0, "train", 0)
    plain = np.where(mask == VOID, 3, mask).astype(np.uint8)
    marked = mark_void(plain, np.random.default_rng(0))
    square = np.ones((5, 5), np.uint8)
    near = cv2.dilate(plain, square) != cv2.erode(plain, square)
    void = marked == VOID
    assert 0 < void.mean() < 0.06
    assert (void & near).sum() > 0.8 * void.sum()
    assert np.array_equal(marked[~void], plain[~void])


def test_colour_alone_does_not_tell_the_classes(scenes):
    train, test = (pixels(split) for split in scenes)
    known = train[1] != VOID
    images, labels = train[0][known], train[1][known]
    centroids = np.stack([images[labels == class_id].mean(0) for class_id in range(11)])
    distance = ((test[0][:, None].astype(np.float32) - centroids) ** 2).sum(-1)
    assert mean_iou(distance.argmin(1), test[1]) < 0.2
    bins = (images.astype(np.int64) // 16) @ np.array([256, 16, 1])
    counts = np.bincount(bins * 11 + labels, minlength=4096 * 11).reshape(-1, 11)
    seen = (test[0].astype(np.int64) // 16) @ np.array([256, 16, 1])
    likely = counts / np.maximum(counts.sum(0), 1)  # every class weighs the same
    assert mean_iou(counts.argmax(1)[seen], test[1]) < 0.25
    assert mean_iou(likely.argmax(1)[seen], test[1]) < 0.25


def test_what_lies_around_a_pixel_helps(scenes):
    """Trees on colour against the same trees with position and the colours around."""
    import cv2
    from sklearn.ensemble import ExtraTreesClassifier

    def features(split, *, around: bool):
        rows = []
        for image, _ in split:
            parts = [image.astype(np.float32)]
            if around:
                parts += [cv2.GaussianBlur(parts[0], (0, 0), sigma) for sigma in (3, 10)]
                parts.append(np.moveaxis(np.indices(image.shape[:2]), 0, -1).astype(np.float32))
            rows.append(np.concatenate(parts, -1)[::4, ::4].reshape(-1, 11 if around else 3))
        return np.concatenate(rows)

    labels = [np.concatenate([mask[::4, ::4].ravel() for _, mask in split]) for split in scenes]
    known, score = labels[0] != VOID, {}
    for around in (False, True):
        trees = ExtraTreesClassifier(12, min_samples_leaf=3, random_state=0)
        trees.fit(features(scenes[0], around=around)[known], labels[0][known])
        guess = trees.predict(features(scenes[1], around=around)).astype(np.int64)
        score[around] = mean_iou(guess, labels[1])
    assert score[True] > 1.3 * score[False]


def test_splits_differ_in_style(scenes):
    """Test drives are darker on the whole, as the style says."""
    brightness = [np.mean([image.mean() for image, _ in split]) for split in scenes]
    assert brightness[1] < brightness[0]


# Parts


def test_farther_things_are_smaller_and_nearer_the_horizon():
    camera = Camera(100, 100, 100.0, 50.0, 50.0, 1.5, 0.0, 0.0, 0.0)
    near, far = camera.project([0, 0], [0, 0], [5.0, 50.0])
    assert near[1] == pytest.approx(50 + 100 * 1.5 / 5)
    assert 50 < far[1] < near[1]
    assert camera.scale(0.0) == 100 / NEAR


def test_ground_coordinates_project_back_to_their_pixels():
    camera = Camera(60, 80, 90.0, 28.4, 37.0, 1.6, 0.5, 0.03, 0.002)
    first, x, z = camera.ground()
    row, column = first + 10, 60
    point = camera.project(x[10, column], 0.0, z[10, 0])
    assert point == pytest.approx([column, row], abs=1e-2)


def test_noise_tiles_repeat_without_a_seam():
    for tile in (cloud_tile(), grain_tile()):
        inside = np.abs(np.diff(tile, axis=0)).mean()
        assert np.abs(tile[0] - tile[-1]).mean() < 1.5 * inside
        assert tile.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("zoom", [0.3, 1.0, 2.7])
def test_a_cut_has_the_size_that_was_asked_for(zoom):
    assert cut_noise(cloud_tile(), np.random.default_rng(0), 300, 17, zoom).shape == (300, 17)
    assert TILE == 256


def test_painting_outside_the_picture_is_harmless():
    blank = np.zeros((8, 8), np.uint8)
    canvas = Canvas(np.zeros((8, 8, 3), np.uint8), blank, (200, 200, 200), 100.0)
    canvas.polygon([(-1e7, -5), (-1e7, -9), (-1e6, -9)], (255, 0, 0), 5.0, CAR)
    canvas.panel(np.zeros((4, 4, 3), np.uint8), [(20, 2), (30, 2), (30, 5), (20, 5)], 5.0, CAR)
    canvas.stamp(-20, 3, np.ones((5, 5), bool), CAR)
    assert not blank.any()
    canvas.stamp(-2, 6, np.ones((5, 5), bool), CAR)
    assert (blank == CAR).sum() == 3 * 2


# Files


def test_reading_writes_pairs_that_hold_the_scenes(tmp_path):
    source = read(config(tmp_path), "train")
    assert [record.id for record in source.records] == [f"train_{i:05d}" for i in range(3)]
    assert source.labels == CAMVID
    image, mask = make_scene(scene_store.SEED, "train", 1, size=SMALL)
    record = source.records[1]
    assert np.array_equal(np.asarray(Image.open(record.image)), image)
    assert np.array_equal(np.asarray(Image.open(record.mask)), mask)


def test_what_is_there_is_not_drawn_again(tmp_path, monkeypatch):
    read(config(tmp_path), "train")
    monkeypatch.setattr(scene_store, "make_scene", pytest.fail)
    read(config(tmp_path), "train")
    read(config(tmp_path, num_scenes=(2, 0, 0)), "train")


def test_a_broken_fill_goes_on_where_it_stopped(tmp_path, monkeypatch):
    calls = []

    def counting(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return make_scene(*arguments, **options)

    monkeypatch.setattr(scene_store, "make_scene", counting)
    with pytest.raises(KeyboardInterrupt):
        read(config(tmp_path), "train")
    records = read(config(tmp_path), "train").records
    assert [index for _, _, index in calls] == [0, 1, 1, 2]
    assert all(record.image.is_file() and record.mask.is_file() for record in records)
    records[0].mask.unlink()
    read(config(tmp_path), "train")
    assert calls[-1][2] == 0
    assert records[0].mask.is_file()


def test_two_processes_fill_one_folder_with_the_same_bytes(tmp_path):
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from segloom.config.data import DataConfig\n"
        "from segloom.data.sets.scenes import read\n"
        f"read(DataConfig(name='scenes', cache_dir=Path({str(tmp_path)!r}), "
        "num_scenes=(6, 0, 0), scene_size=(64, 96)), 'train')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    records = read(config(tmp_path, num_scenes=(6, 0, 0)), "train").records
    for index, record in enumerate(records):
        expected = make_scene(scene_store.SEED, "train", index, size=SMALL)
        assert np.array_equal(np.asarray(Image.open(record.image)), expected[0])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 12  # no temporary file is left


def test_the_folder_follows_size_root_and_generator(tmp_path, monkeypatch):
    small, large = config(tmp_path), config(tmp_path, scene_size=(80, 96))
    assert scenes_folder(small) != scenes_folder(large)
    assert generator_key() in scenes_folder(small).name
    own = config(tmp_path, root=tmp_path / "mine")
    assert scenes_folder(own).is_relative_to(tmp_path / "mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    nowhere = DataConfig(name="scenes")
    if sys.platform == "linux":
        assert scenes_folder(nowhere).is_relative_to(tmp_path / "home" / "segloom")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(
        DataError, match=r"cannot write generated scenes to .*file.*--data.cache-dir"
    ):
        read(config(blocker), "val")


def test_too_small_scenes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"scene_size \(16, 96\) is too small"):
        read(config(tmp_path, scene_size=(16, 96)), "train")


def test_negative_numbers_of_scenes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="must not be negative"):
        read(config(tmp_path, num_scenes=(-1, 0, 0)), "train")


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(DataError, match="unknown split 'dev'"):
        read(config(tmp_path), "dev")


def test_scenes_become_samples(tmp_path):
    from segloom.data import build_dataset

    dataset = build_dataset(config(tmp_path, cache=False), "train")
    assert dataset.classes == CAMVID.classes
    sample = dataset[2]
    assert tuple(sample["image"].shape) == (3, *SMALL)
    assert tuple(sample["mask"].shape) == SMALL
    _, mask = make_scene(scene_store.SEED, "train", 2, size=SMALL)
    assert np.array_equal(sample["mask"].numpy(), mask)
