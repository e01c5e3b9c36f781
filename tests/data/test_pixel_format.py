"""The range of values that becomes 0 to 255, found in the training images of a data set."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.config import DataConfig
from segloom.data.pixel_format import find_pixel_format
from segloom.errors import ConfigError, DataError

GREY = np.array([[0, 1000, 2000, 4000]], np.uint16)


def data(root, *arrays, **options):
    """Write one training image and label map for each array; `.npy` for stacks of bands."""
    (root / "train/images").mkdir(parents=True)
    (root / "train/masks").mkdir()
    for number, pixels in enumerate(arrays):
        if pixels.ndim == 3:
            np.save(root / f"train/images/{number}.npy", pixels)
        else:
            Image.fromarray(pixels).save(root / f"train/images/{number}.png")
        mask = Image.new("L", (pixels.shape[1], pixels.shape[0]))
        mask.save(root / f"train/masks/{number}.png")
    return DataConfig(root=root, classes=("a", "b"), **options)


def bands(*values, rows=20, columns=10):
    """Stack bands ``(rows, columns, len(values))`` of one value each."""
    return np.broadcast_to(np.array(values, np.float32), (rows, columns, len(values))).copy()


def test_images_of_8_bits_need_no_format(tmp_path):
    assert find_pixel_format(data(tmp_path, np.eye(9, dtype=np.uint8))) is None


def test_a_set_without_training_images_needs_none(tmp_path):
    assert find_pixel_format(DataConfig(root=tmp_path, classes=("a", "b"))) is None


def test_deep_grey_is_cut_at_the_half_and_99_and_a_half_percentile(tmp_path):
    pixels = np.arange(1001, dtype=np.uint16)[None] * 10
    form = find_pixel_format(data(tmp_path, pixels))
    assert (form.low, form.high) == ((50.0,), (9950.0,))
    assert (form.mean, form.std, form.bands, form.shown) == ((), (), (), ())


def test_a_stated_range_holds_for_every_band_and_for_images_of_8_bits(tmp_path):
    form = find_pixel_format(data(tmp_path / "a", np.eye(9, dtype=np.uint8), value_range=(1, 9)))
    assert (form.low, form.high) == ((1.0,) * 3, (9.0,) * 3)
    form = find_pixel_format(data(tmp_path / "b", bands(0, 5, 5, 10), value_range=(0, 10)))
    assert (form.low, form.high) == ((0.0,) * 4, (10.0,) * 4)
    assert form.mean == pytest.approx((0, 128 / 255, 128 / 255, 1), abs=1e-5)
    assert form.std == (0.001,) * 4


def test_the_full_range_is_read_as_ever_but_not_of_bands_in_files(tmp_path):
    assert find_pixel_format(data(tmp_path, GREY, value_range="full")) is None
    config = DataConfig(root=tmp_path, value_range="full", bands=("B02", "B03"))
    with pytest.raises(ConfigError, match=r"value_range full keeps .* state the range, such as 0"):
        find_pixel_format(config)


def test_three_bands_share_a_range_and_four_have_their_own(tmp_path):
    ramp = np.linspace(0, 1, 201, dtype=np.float32).reshape(201, 1, 1)
    three = ramp * np.array([100, 200, 400], np.float32)
    form = find_pixel_format(data(tmp_path / "a", three))
    assert len(set(form.low)) == len(set(form.high)) == 1
    assert 380 < form.high[0] <= 400
    assert form.mean == ()
    four = ramp * np.array([100, 200, 400, 800], np.float32)
    form = find_pixel_format(data(tmp_path / "b", four))
    assert form.low == pytest.approx((0.5, 1, 2, 4))
    assert form.high == pytest.approx((99.5, 199, 398, 796))
    assert form.mean == pytest.approx((0.5,) * 4, abs=0.01)


def test_a_band_of_one_value_gets_a_range_of_one(tmp_path):
    form = find_pixel_format(data(tmp_path, bands(1, 2, 3, 4)))
    assert form.low == (1.0, 2.0, 3.0, 4.0)
    assert form.high == (2.0, 3.0, 4.0, 5.0)


def test_what_is_not_finite_is_left_out_but_a_band_without_numbers_is_refused(tmp_path):
    pixels = bands(1, 2, 3, 4)
    pixels[:5, :, 0], pixels[5:9, :, 0] = np.nan, np.inf
    form = find_pixel_format(data(tmp_path / "a", pixels))
    assert form.low == (1.0, 2.0, 3.0, 4.0)
    pixels[..., 0] = np.nan
    with pytest.raises(DataError, match="a band of the training images holds no finite number"):
        find_pixel_format(data(tmp_path / "b", pixels))


def test_images_of_other_bands_are_told_apart(tmp_path):
    config = data(tmp_path, bands(1, 2, 3, 4), bands(1, 2, 3, 4, 5))
    with pytest.raises(DataError, match=r"1\.npy has 5 bands, but .*0\.npy has 4; give all"):
        find_pixel_format(config)


def test_picture_bands_count_from_1_up_to_the_last(tmp_path):
    config = data(tmp_path, bands(1, 2, 3, 4), picture_bands=(4, 1, 2))
    assert find_pixel_format(config).shown == (3, 0, 1)
    beyond = config.model_copy(update={"picture_bands": (5, 1, 2)})
    with pytest.raises(ConfigError, match="picture_bands 5 1 2 goes beyond the 4 bands"):
        find_pixel_format(beyond)


def test_plain_pictures_have_three_bands_to_show(tmp_path):
    config = data(tmp_path, np.eye(9, dtype=np.uint8), picture_bands=(3, 2, 1))
    assert find_pixel_format(config) is None
    beyond = config.model_copy(update={"picture_bands": (1, 2, 4)})
    with pytest.raises(ConfigError, match="picture_bands 1 2 4 goes beyond the 3 bands"):
        find_pixel_format(beyond)


def test_a_changed_image_is_looked_at_again(tmp_path):
    config = data(tmp_path, bands(1, 2, 3, 4))
    assert find_pixel_format(config).low[0] == 1.0
    np.save(tmp_path / "train/images/0.npy", bands(7, 2, 3, 4))
    assert find_pixel_format(config).low[0] == 7.0
