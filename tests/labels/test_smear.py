"""Label maps smeared by compression or interpolation give the classes that were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.errors import DataError
from segloom.labels.decoder import detect_format, make_decoder
from segloom.labels.smear import find_peaks, flat_pixels, read_by_nearest
from segloom.labels.stored import read_labels


def disc(height: int = 96, width: int = 128) -> np.ndarray:
    """Class 1 is a disc, class 2 a block at the bottom."""
    y, x = np.ogrid[:height, :width]
    ids = np.zeros((height, width), np.uint8)
    ids[(y - 40) ** 2 + (x - 60) ** 2 < 500] = 1
    ids[height - 24 :, : width // 2] = 2
    return ids


def resized(pixels: np.ndarray) -> Image.Image:
    small = Image.fromarray(pixels).resize((64, 48), Image.Resampling.BILINEAR)
    return small.resize((128, 96), Image.Resampling.BILINEAR)


def share_equal(found: np.ndarray, wanted: np.ndarray) -> float:
    return float((found == wanted).mean())


def test_interpolated_ids_are_read_by_nearest_value(tmp_path):
    ids = disc()
    resized(ids * 100).save(tmp_path / "a.png")
    decoder = make_decoder(3, "index", label_map={"0": 0, "100": 1, "200": 2})
    found = decoder.decode(tmp_path / "a.png")
    assert share_equal(found, ids) > 0.98
    # Between 0 and 200 lies 100, but no outline of class 1 runs around the block of class 2.
    assert not (found[80:, :62] == 1).any()
    assert decoder.is_smeared(read_labels(tmp_path / "a.png"))


@pytest.mark.parametrize(("ending", "options"), [("jpg", {"quality": 90}), ("webp", {})])
def test_lossy_ids_far_apart_are_read_by_nearest_value(tmp_path, ending, options):
    ids = disc()
    path = tmp_path / f"a.{ending}"
    Image.fromarray(ids * 100).save(path, **options)
    assert read_labels(path).is_lossy
    found = make_decoder(3, "index", label_map={"0": 0, "100": 1, "200": 2}).decode(path)
    assert share_equal(found, ids) > 0.995


def test_lossy_colours_are_read_by_nearest_colour(tmp_path):
    ids = disc()
    colors = np.array([[0, 0, 0], [250, 50, 83], [50, 83, 250]], np.uint8)
    Image.fromarray(colors[ids]).save(tmp_path / "a.jpg", quality=90)
    palette = [(0, 0, 0), (250, 50, 83), (50, 83, 250)]
    found = make_decoder(3, "color", palette=palette).decode(tmp_path / "a.jpg")
    assert share_equal(found, ids) > 0.99


def test_lossless_webp_is_not_lossy(tmp_path):
    Image.fromarray(disc()).save(tmp_path / "a.webp", lossless=True)
    assert not read_labels(tmp_path / "a.webp").is_lossy
    np.testing.assert_array_equal(make_decoder(3, "index").decode(tmp_path / "a.webp"), disc())


@pytest.mark.parametrize("mask_format", ["index", "binary"])
def test_ids_side_by_side_in_a_jpeg_are_refused(tmp_path, mask_format):
    Image.fromarray((disc() == 1).astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    with pytest.raises(DataError, match="PNG"):
        make_decoder(2, mask_format).decode(tmp_path / "a.jpg")
    assert detect_format([tmp_path / "a.jpg"], 2) == "index"


def test_an_undeclared_area_is_refused_in_a_smeared_file(tmp_path):
    resized(disc() * 100).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="outside the 2 classes"):
        make_decoder(2, "index", label_map={"0": 0, "100": 1}).decode(tmp_path / "a.png")


def test_an_area_one_beside_a_declared_value_is_another_class():
    pixels = np.array(resized(disc() * 100))
    assert read_by_nearest(pixels, [0, 100, 200], is_lossy=False) is not None
    pixels[:12, :12] = 1
    assert read_by_nearest(pixels, [0, 100, 200], is_lossy=False) is None


def test_a_thin_undeclared_line_is_refused(tmp_path):
    ids = disc() * 100
    ids[10, :] = 50
    Image.fromarray(ids).save(tmp_path / "a.png")
    decoder = make_decoder(3, "index", label_map={"0": 0, "100": 1, "200": 2})
    with pytest.raises(DataError, match="50"):
        decoder.decode(tmp_path / "a.png")


def test_black_and_white_files_that_were_resized_are_binary(tmp_path):
    mask = (disc() == 1).astype(np.uint8)
    resized(mask * 255).save(tmp_path / "a.png")
    assert detect_format([tmp_path / "a.png"], 2) == "binary"
    found = make_decoder(2, "binary").decode(tmp_path / "a.png")
    assert share_equal(found, mask) > 0.99


def test_a_photograph_is_no_binary_label_map(tmp_path):
    noise = np.random.default_rng(0).normal(128, 30, (40, 50)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="picture"):
        make_decoder(2, "binary").decode(tmp_path / "a.png")


def palette_file(path: Path, ids: np.ndarray, colors: list[tuple[int, int, int]]) -> Path:
    image = Image.frombytes("P", ids.shape[::-1], ids.tobytes())
    image.putpalette([channel for color in colors for channel in color])
    image.save(path)
    return path


def test_a_binary_palette_in_colour_is_read_by_index_not_by_brightness(tmp_path):
    ids = (disc() == 1).astype(np.uint8)
    dark_red = palette_file(tmp_path / "a.png", ids, [(0, 0, 0), (128, 0, 0)])
    np.testing.assert_array_equal(make_decoder(2, "binary").decode(dark_red), ids)
    inverted = palette_file(tmp_path / "b.png", ids, [(255, 255, 255), (0, 0, 0)])
    np.testing.assert_array_equal(make_decoder(2, "binary").decode(inverted), 1 - ids)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_shape_in_the_alpha_channel_alone_is_read(tmp_path, mode):
    mask = (disc() == 1).astype(np.uint8) * 255
    image = Image.new(mode, (128, 96), 0)
    image.putalpha(Image.fromarray(mask))
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png").pixels, mask)


def test_negative_values_can_be_void(tmp_path):
    ids = disc().astype(np.int32)
    ids[:5] = -9999
    Image.fromarray(ids).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="-9999"):
        make_decoder(3, "index").decode(tmp_path / "a.tif")
    found = make_decoder(3, "index", ignore_values=[-9999]).decode(tmp_path / "a.tif")
    assert (found[:5] == 255).all()
    np.testing.assert_array_equal(found[5:], disc()[5:])


def test_peaks_are_found_only_where_they_are_clear():
    assert find_peaks({0: 900, 1: 3, 128: 200, 130: 10, 254: 50}) == [0, 128, 254]
    assert find_peaks({0: 900, 1: 100, 2: 1}) is None  # ids side by side
    assert find_peaks(dict.fromkeys(range(0, 250, 5), 10)) is None  # a photograph


def test_flat_pixels_are_those_inside_areas():
    pixels = np.zeros((5, 6), np.uint8)
    pixels[:, 3:] = 9
    assert flat_pixels(pixels)[0].tolist() == [True, True, False, False, True, True]
