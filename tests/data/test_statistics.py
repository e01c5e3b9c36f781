"""Class counts and the weights that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from segloom.config.data import DataConfig
from segloom.data import build_dataset
from segloom.data.sets.camvid import CAMVID
from segloom.data.statistics import ClassCounts, class_weights, count_classes
from segloom.errors import UnknownNameError

COUNTS = ClassCounts(np.array([600, 300, 100]), np.array([1000, 500, 1000]), 2)


def test_log_weights_are_those_of_enet():
    expected = 1 / np.log(1.02 + np.array([0.6, 0.3, 0.1]))
    np.testing.assert_allclose(class_weights(COUNTS, "log"), expected)


def test_inverse_weights_are_proportional_to_one_over_the_share_with_mean_one():
    weights = np.array(class_weights(COUNTS, "inverse"))
    np.testing.assert_allclose(weights * [6, 3, 1], weights[2])
    assert weights.mean() == pytest.approx(1)


def test_median_weights_divide_the_median_share_by_the_share_in_images_with_the_class():
    np.testing.assert_allclose(class_weights(COUNTS, "median"), [0.6 / 0.6, 0.6 / 0.6, 0.6 / 0.1])


def test_effective_weights_follow_the_effective_number_of_samples():
    b = 1 - 3 / 1000
    number = (1 - b ** COUNTS.pixels.astype(float)) / (1 - b)
    expected = (1 / number) / (1 / number).mean()
    np.testing.assert_allclose(class_weights(COUNTS, "effective"), expected)
    assert expected[0] < expected[1] < expected[2]


def test_none_and_no_pixels_weigh_all_alike():
    assert class_weights(COUNTS, "none") == [1, 1, 1]
    empty = ClassCounts(np.zeros(3, np.int64), np.zeros(3, np.int64), 0)
    for scheme in ("log", "inverse", "median", "effective"):
        assert class_weights(empty, scheme) == [1, 1, 1]


@pytest.mark.parametrize("scheme", ["inverse", "median", "effective"])
def test_a_class_without_pixels_weighs_one_and_moves_no_other(scheme):
    with_gap = ClassCounts(np.array([600, 0, 400]), np.array([1000, 0, 1000]), 1)
    weights = class_weights(with_gap, scheme)
    assert weights[1] == 1
    assert np.isfinite(weights).all()
    assert weights[0] < weights[2]
    assert (weights[0] + weights[2]) / 2 == pytest.approx(1, abs=0.1)


def test_one_class_alone_weighs_one():
    single = ClassCounts(np.array([70]), np.array([70]), 1)
    for scheme in ("inverse", "median", "effective"):
        assert class_weights(single, scheme) == [pytest.approx(1)]


def test_an_unknown_scheme_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'medain': did you mean 'median'"):
        class_weights(COUNTS, "medain")


@pytest.fixture(scope="module")
def camvid_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_median_weights_of_camvid_equal_the_published_tables(shared):
    # SegNet's split, void left out; then AFMA's twelve classes with void as one of them.
    tables = {
        "train": [
            0.2793,
            0.2017,
            4.7865,
            0.1490,
            1,
            0.4217,
            3.8467,
            1.9736,
            0.7889,
            6.3747,
            8.8587,
        ],
        "test": [0.2421, 0.1687, 3.5106, 0.1608, 0.4477, 0.3609, 3.9857, 1.3536, 1, 6.2373, 7.2443],
    }
    for split, table in tables.items():
        weights = class_weights(count_masks(shared, split, CAMVID.classes), "median")
        np.testing.assert_allclose(weights, table, atol=6e-5)
    twelve = count_masks(shared, "train", (*CAMVID.classes, "unlabelled"))
    assert twelve.void_pixels == 0
    np.testing.assert_allclose(
        class_weights(twelve, "median"),
        [
            0.25652730831033116,
            0.18528266685745448,
            4.396287575365375,
            0.1368693220338383,
            0.9184731310542199,
            0.38731986379829597,
            3.5330742906141994,
            1.8126852672146507,
            0.7246197983929721,
            5.855012980845159,
            8.136508447439535,
            1.0974099206087582,
        ],
        rtol=1e-12,
    )


def count_masks(shared, split, classes):
    """Count through the data set, sparing the time to decode the images."""
    config = DataConfig(
        name="camvid", root=shared / "data" / "camvid", classes=classes, cache=False
    )
    dataset = build_dataset(config, split)

    class MasksOnly:
        def __init__(self):
            self.classes, self.labels = dataset.classes, dataset.labels

        def __len__(self):
            return len(dataset)

        def read(self, index):
            from segloom.data.planes import Planes

            mask = dataset.decoder.decode(dataset.records[index].mask)
            return Planes(np.zeros((*mask.shape, 3), np.uint8), mask)

    return count_classes(MasksOnly())


def test_counts_leave_void_out_of_the_classes_but_not_out_of_the_images(tmp_path):
    from PIL import Image

    for kind in ("images", "masks"):
        (tmp_path / "train" / kind).mkdir(parents=True)
    masks = [np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 0, 0, 0]], np.uint8)]
    for number, mask in enumerate(masks):
        Image.fromarray(mask).save(tmp_path / "train" / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "train" / "masks" / f"{number}.png")
    config = DataConfig(root=tmp_path, classes=("a", "b", "c"), cache=False)
    counts = count_classes(build_dataset(config, "train"))
    assert counts.pixels.tolist() == [6, 1, 0]
    assert counts.image_pixels.tolist() == [8, 4, 0]
    assert (counts.num_images, counts.void_pixels) == (2, 1)
    assert counts.pixels.dtype == counts.image_pixels.dtype == np.int64
