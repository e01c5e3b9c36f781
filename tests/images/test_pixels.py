"""Images of more bands, more bits and floating point become uint8 by one rule."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from segloom.errors import DataError
from segloom.images.pixels import PixelFormat, has_plain_pixels, read_pixels
from segloom.images.read import read_image

RNG = np.random.default_rng(0)


def bands(number: int, dtype: str = "uint16") -> np.ndarray:
    return RNG.integers(0, 250, (24, 32, number)).astype(dtype)


def write(path: Path, pixels: np.ndarray, *, planar: bool = False, extra: int = 0) -> Path:
    options = {"photometric": "rgb" if extra or pixels.shape[2] == 3 else "minisblack"}
    if extra:
        options["extrasamples"] = ["unspecified"] * extra
    if planar:
        pixels = np.moveaxis(pixels, 2, 0)
    elif pixels.shape[2] not in (3, 3 + extra):
        options["planarconfig"] = "contig"
    tifffile.imwrite(
        path,
        pixels,
        planarconfig="separate" if planar else "contig",
        **{key: value for key, value in options.items() if key != "planarconfig"},
    )
    return path


@pytest.mark.parametrize("number", [2, 4, 5, 8, 12])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("planar", [False, True])
def test_all_bands_of_a_tiff_are_read(tmp_path, number, dtype, planar):
    pixels = bands(number, dtype)
    path = write(tmp_path / "a.tif", pixels, planar=planar)
    assert not has_plain_pixels(path)
    np.testing.assert_array_equal(read_pixels(path), pixels)


def test_bands_beyond_red_green_and_blue_are_read_or_refused_by_number(tmp_path):
    pixels = bands(4, "uint8")
    path = write(tmp_path / "a.tif", pixels, extra=1)
    np.testing.assert_array_equal(read_pixels(path), pixels)
    with pytest.raises(DataError, match="has 4 bands, of which three would be read"):
        read_image(path)


def test_transparency_is_no_band(tmp_path):
    pixels = bands(4, "uint8")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    assert has_plain_pixels(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), pixels[..., :3])


def test_sixteen_bits_and_floats_keep_their_values(tmp_path):
    grey, color = bands(1)[..., 0] * 16, bands(3) * 16
    Image.fromarray(grey).save(tmp_path / "grey.png")
    cv2.imwrite(str(tmp_path / "color.png"), color[..., ::-1])
    tifffile.imwrite(tmp_path / "float.tif", (color / 4096).astype(np.float32), photometric="rgb")
    np.testing.assert_array_equal(read_pixels(tmp_path / "grey.png")[..., 0], grey)
    np.testing.assert_array_equal(read_pixels(tmp_path / "color.png"), color)
    np.testing.assert_allclose(read_pixels(tmp_path / "float.tif"), color / 4096, rtol=1e-6)


def test_plain_files_are_read_as_ever(tmp_path):
    Image.fromarray(bands(3, "uint8")).save(tmp_path / "a.png")
    assert has_plain_pixels(tmp_path / "a.png")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), read_image(tmp_path / "a.png"))


def test_a_format_scales_and_clips_every_band_and_keeps_through_json():
    form = PixelFormat((0.0, 100.0), (255.0, 200.0), (0.5, 0.5), (0.1, 0.2))
    pixels = np.array([[[0, 100], [255, 200], [300, 50], [51, 120], [np.nan, np.inf]]])
    expected = [[[0, 0], [255, 255], [255, 0], [51, 51], [0, 0]]]
    np.testing.assert_array_equal(form.scale(pixels), expected)
    assert PixelFormat.from_dict(form.to_dict()) == form
    assert PixelFormat((0.0,), (10.0,)).scale(np.array([[[5.0]]])).tolist() == [[[128] * 3]]


def test_another_number_of_bands_is_refused(tmp_path):
    path = write(tmp_path / "a.tif", bands(5))
    with pytest.raises(DataError, match="has 5 bands, but the data set was read with 4 bands"):
        PixelFormat((0.0,) * 4, (1.0,) * 4).read(path)


def test_a_damaged_tiff_is_named(tmp_path):
    path = write(tmp_path / "a.tif", bands(5))
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match=r"a\.tif"):
        read_pixels(path)
