"""Label files as they are stored: kinds, what is lossy, transparency, depth, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from segloom.errors import DataError
from segloom.labels import stored
from segloom.labels.stored import read_labels

IDS = np.array([[0, 1, 2], [3, 200, 255]], np.uint8)
COLORS = np.stack([IDS, IDS[::-1], 255 - IDS], axis=2)


def saved(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return read_labels(path)


def test_ids_are_grey_and_shown_as_they_are(tmp_path):
    found = saved(tmp_path / "a.png", IDS)
    assert (found.kind, found.is_lossy, found.colors) == ("grey", False, None)
    assert found.pixels.dtype == np.uint8
    assert (found.pixels == IDS).all()
    assert (found.rgb() == IDS[..., None]).all()
    assert found.rgb().shape == (2, 3, 3)


def test_bits_are_0_and_1_and_shown_black_and_white(tmp_path):
    found = saved(tmp_path / "a.png", (IDS > 2) * np.uint8(255), "1")
    assert found.kind == "bit"
    assert found.pixels.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert found.rgb()[..., 1].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_a_palette_file_has_indices_and_all_256_colours(tmp_path):
    image = Image.fromarray(IDS % 3).convert("P")
    image.putpalette([1, 2, 3, 4, 5, 6, 7, 8, 9])
    image.save(tmp_path / "a.png")
    found = read_labels(tmp_path / "a.png")
    assert found.kind == "palette"
    assert (found.pixels == IDS % 3).all()
    assert found.colors.shape == (256, 3)
    assert found.colors[:4].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 0, 0]]
    assert found.rgb()[0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_colours_stay_unless_all_channels_are_equal(tmp_path):
    found = saved(tmp_path / "a.png", COLORS)
    assert found.kind == "color"
    assert (found.rgb() == COLORS).all()
    for changed in (0, 1, 2):
        pixels = np.repeat(IDS[..., None], 3, axis=2)
        assert saved(tmp_path / "b.png", pixels).kind == "grey"
        pixels[1, 2, changed] = 7
        assert saved(tmp_path / "c.png", pixels).kind == "color"


@pytest.mark.parametrize("base", [COLORS * 0 + 9, IDS * 0 + 9])
def test_transparency_is_the_shape_where_the_colour_below_is_one(tmp_path, base):
    alpha = np.array([[0, 255, 255], [0, 0, 128]], np.uint8)
    found = saved(tmp_path / "a.png", np.dstack([base, alpha]))
    assert found.kind == "grey"
    assert (found.pixels == alpha).all()


def test_transparency_is_left_out_where_it_or_the_colour_varies_not_or_does(tmp_path):
    opaque, alpha = np.full((2, 3), 255, np.uint8), IDS
    assert (saved(tmp_path / "a.png", np.dstack([COLORS, alpha])).rgb() == COLORS).all()
    assert (saved(tmp_path / "b.png", np.dstack([COLORS * 0 + 9, opaque])).pixels == 9).all()
    assert (saved(tmp_path / "c.png", np.dstack([IDS, alpha // 2])).pixels == IDS).all()


@pytest.mark.parametrize(
    ("name", "options", "lossy"),
    [
        ("a.jpg", {}, True),
        ("a.webp", {}, True),
        ("a.webp", {"lossless": True}, False),
        ("a.jp2", {"irreversible": True}, True),
        ("a.jp2", {"irreversible": False}, False),
        ("a.tif", {"compression": "jpeg"}, True),
        ("a.tif", {"compression": "tiff_lzw"}, False),
        ("a.bmp", {}, False),
    ],
)
def test_compression_that_changes_values_is_told(tmp_path, name, options, lossy):
    pixels = np.kron(COLORS, np.ones((32, 32, 1), np.uint8))
    assert saved(tmp_path / name, pixels, **options).is_lossy is lossy


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 65535], np.uint16), ([-32768, 65535], np.int32), ([5, 300], np.uint16)],
)
def test_deep_values_are_kept(tmp_path, values, dtype):
    found = saved(tmp_path / "a.tif", np.array([values], np.int32))
    assert found.kind == "grey"
    assert found.pixels.dtype == dtype
    assert found.pixels.tolist() == [values]


def test_values_beyond_16_bits_and_fractions_are_refused(tmp_path):
    with pytest.raises(DataError, match="values up to 65536, beyond 16 bits; renumber"):
        saved(tmp_path / "a.tif", np.array([[0, 65536]], np.int32))
    with pytest.raises(DataError, match="floating-point pixels; save it as 8-bit PNG"):
        saved(tmp_path / "b.tif", np.zeros((2, 2), np.float32))


def test_a_file_beyond_the_limit_is_refused_and_one_at_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "MAX_PIXELS", IDS.size)
    assert (saved(tmp_path / "a.png", IDS).pixels == IDS).all()
    monkeypatch.setattr(stored, "MAX_PIXELS", IDS.size - 1)
    with pytest.raises(DataError, match=r"a\.png has more than 5 pixels; cut it up"):
        read_labels(tmp_path / "a.png")


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no\.png does not exist"):
        read_labels(tmp_path / "no.png")
    saved(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.png is damaged, cut short or no image .*again"):
        read_labels(tmp_path / "a.png")


@pytest.mark.parametrize("is_bit", [False, True])
def test_a_tiff_in_which_0_is_white_keeps_its_values(tmp_path, is_bit):
    values = IDS > 2 if is_bit else IDS
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    found = read_labels(tmp_path / "a.tif")
    assert found.kind == ("bit" if is_bit else "grey")
    assert found.pixels.dtype == np.uint8
    assert found.pixels.tolist() == values.astype(int).tolist()


def test_a_tiff_of_64_bits_is_read_and_one_of_fractions_or_bands_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", IDS.astype(np.int64) * 257)
    found = read_labels(tmp_path / "a.tif")
    assert (found.kind, found.is_lossy, found.pixels.dtype) == ("grey", False, np.uint16)
    assert (found.pixels == IDS.astype(int) * 257).all()
    for values, photometric in (
        (IDS.astype(np.float64), "minisblack"),
        (np.zeros((4, 5, 3), np.int64), "rgb"),
    ):
        tifffile.imwrite(tmp_path / "b.tif", values, photometric=photometric)
        with pytest.raises(DataError, match=r"b\.tif holds .*; save it as whole numbers of one"):
            read_labels(tmp_path / "b.tif")


def test_arrays_hold_whole_numbers_or_bits(tmp_path):
    path = tmp_path / "a.npy"
    for values, kind, dtype in (
        (IDS > 2, "bit", np.uint8),
        (IDS, "grey", np.uint8),
        (IDS.astype(np.int64), "grey", np.uint16),
        (IDS - np.int64(1), "grey", np.int32),
    ):
        np.save(path, values)
        found = read_labels(path)
        assert (found.kind, found.is_lossy, found.pixels.dtype) == (kind, False, dtype)
        assert (found.pixels == values.astype(int)).all()
    for odd in (IDS[None], IDS.astype(np.float32)):
        np.save(path, odd)
        with pytest.raises(DataError, match=r"a\.npy is no array of whole numbers of the shape"):
            read_labels(path)
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match=r"a\.npy cannot be read .*save it again"):
        read_labels(path)
    with pytest.raises(DataError, match=r"b\.npy does not exist"):
        read_labels(tmp_path / "b.npy")
