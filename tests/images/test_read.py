"""Images of every kind become RGB; damaged ones raise an error that names them."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segloom.errors import DataError, ImageTooLargeError
from segloom.images.read import (
    IMAGE_ENDINGS,
    MAX_PIXELS,
    decode_image,
    image_files,
    read_image,
)


def gradient(height: int = 24, width: int = 40) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack(
        [rows * 255 // max(height - 1, 1), columns * 255 // max(width - 1, 1), rows * 0 + 60], -1
    ).astype(np.uint8)


def png_with_header(width: int, height: int) -> bytes:
    """A tiny file whose header claims any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm", "webp"])
def test_lossless_rgb_is_read_as_written(tmp_path: Path, ending: str) -> None:
    Image.fromarray(gradient()).save(tmp_path / f"a.{ending}", lossless=True)
    image = read_image(tmp_path / f"a.{ending}")
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, gradient())


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (6, lambda a: np.rot90(a, -1)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, turn) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(gradient()).save(tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == turn(gradient()).shape
    assert np.abs(image.astype(int) - turn(gradient())).max() <= 6


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(gradient()).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (24, 40, 3)
    assert np.abs(image.astype(int) - gradient()).max() <= 12


def test_sixteen_bit_grey_keeps_the_high_byte(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256, 65535], [4095, 32768, 513, 1]], dtype=np.uint16)
    for ending in ("png", "tif"):
        Image.fromarray(values).save(tmp_path / f"a.{ending}")
        image = read_image(tmp_path / f"a.{ending}")
        assert image.shape == (2, 4, 3)
        for channel in range(3):
            np.testing.assert_array_equal(image[..., channel], values >> 8)


def test_sixteen_bit_colour_keeps_the_high_byte(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), values >> 8)


def test_integers_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 70000, np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif has values from 70000 to 70000, beyond 16 bits"):
        read_image(tmp_path / "a.tif")


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif has floating-point pixels"):
        read_image(tmp_path / "a.tif")


def test_grey_repeats_its_channel(tmp_path: Path) -> None:
    Image.fromarray(gradient()[..., 0]).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image, np.repeat(gradient()[..., :1], 3, axis=2))


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    bits = np.eye(5, dtype=bool)
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 1], bits * 255)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    transparent = np.concatenate([gradient(), np.zeros((24, 40, 1), np.uint8)], axis=2)
    Image.fromarray(transparent).save(tmp_path / "rgba.png")
    Image.fromarray(transparent[..., [0, 3]]).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), gradient())
    np.testing.assert_array_equal(read_image(tmp_path / "la.png")[..., 2], gradient()[..., 0])


@pytest.mark.parametrize("transparency", [None, 0, bytes([0, 128, 255])])
def test_palette_becomes_its_colours(tmp_path: Path, transparency: int | bytes | None) -> None:
    indexed = Image.new("P", (3, 1))
    indexed.putdata([0, 1, 2])
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    options = {} if transparency is None else {"transparency": transparency}
    indexed.save(tmp_path / "a.png", **options)
    assert read_image(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    for ending in ("gif", "tif", "webp", "png"):
        options = {"lossless": True} if ending == "webp" else {}
        path = tmp_path / f"a.{ending}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        assert read_image(path)[0, 0].tolist() == [255, 0, 0], ending


@pytest.mark.parametrize("size", [(1, 1), (3, 8000), (8000, 3)])
def test_extreme_sizes_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(gradient(*size)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), gradient(*size))


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_truncated_file_is_named(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / f"cut.{ending}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"cut\.{ending} is (damaged or cut short|not an image)"):
        read_image(path)


def test_damaged_png_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png is damaged or cut short"):
        read_image(path)


def test_text_named_png_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(DataError, match=r"a\.png is not an image of a known format"):
        read_image(tmp_path / "a.png")


def test_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.png is empty"):
        read_image(tmp_path / "a.png")


def test_missing_file_and_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png does not exist"):
        read_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="is a folder"):
        read_image(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch(mode=0)
    with pytest.raises(DataError, match=r"a\.png may not be read"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("side", [13400, 20000, 2**31 - 1])
def test_header_that_claims_a_huge_image_is_refused(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png_with_header(side, side))
    assert side * side > MAX_PIXELS
    with pytest.raises(DataError, match=r"bomb\.png has more than 178,956,970 pixels; cut it"):
        read_image(tmp_path / "bomb.png")


def test_header_with_too_few_pixels_behind_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.png").write_bytes(png_with_header(3000, 3000))
    with pytest.raises(DataError, match=r"short\.png is damaged or cut short"):
        read_image(tmp_path / "short.png")


SYSTEM = ("__MACOSX/b.png", "sub/@eaDir/c.tif", "$RECYCLE.BIN/e.png")
"""What archives and storage boxes add."""


def make_tree(root: Path) -> None:
    for name in (
        "b.png",
        "a.JPG",
        "sub/c.tif",
        "sub/notes.txt",
        ".hidden.png",
        ".git/d.png",
        *SYSTEM,
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folder_gives_its_images_sorted(tmp_path: Path) -> None:
    make_tree(tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in image_files([tmp_path])]
    assert names == ["a.JPG", "b.png", "sub/c.tif"]


def test_folder_below_a_hidden_one_is_searched(tmp_path: Path) -> None:
    make_tree(tmp_path)
    assert image_files([tmp_path / ".git"]) == [tmp_path / ".git" / "d.png"]


def test_glob_gives_images_and_folders_that_it_matches(tmp_path: Path) -> None:
    make_tree(tmp_path)
    names = [path.name for path in image_files([str(tmp_path / "*")])]
    assert names == ["a.JPG", "b.png", "c.tif"]
    assert [path.name for path in image_files([str(tmp_path / "**" / "*.t*")])] == ["c.tif"]


def test_files_are_given_once_in_the_order_of_the_sources(tmp_path: Path) -> None:
    make_tree(tmp_path)
    files = image_files([tmp_path / "sub" / "notes.txt", tmp_path / "b.png", tmp_path])
    assert [path.name for path in files] == ["notes.txt", "b.png", "a.JPG", "c.tif"]


def test_file_with_brackets_in_its_name_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].png").touch()
    assert image_files([tmp_path / "a[1].png"]) == [tmp_path / "a[1].png"]


def test_source_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"holds no image; images end in \.avif"):
        image_files([tmp_path])
    with pytest.raises(DataError, match=r"\*\.png holds no image"):
        image_files([tmp_path / "*.png"])
    with pytest.raises(DataError, match="missing does not exist"):
        image_files([tmp_path / "missing"])


def test_every_ending_is_lower_case() -> None:
    assert {ending.lower() for ending in IMAGE_ENDINGS} == IMAGE_ENDINGS


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "gif", "bmp", "ppm", "jp2"])
def test_bytes_are_decoded_like_the_file_that_holds_them(tmp_path: Path, ending: str) -> None:
    Image.fromarray(gradient()).save(path := tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(decode_image(path.read_bytes()), read_image(path))


def test_bytes_that_nobody_vouches_for_are_checked_before_they_are_decoded(tmp_path: Path) -> None:
    with pytest.raises(ImageTooLargeError, match="the image has more than 500 pixels"):
        decode_image(png_with_header(30, 20), max_pixels=500)
    Image.fromarray(gradient()).save(path := tmp_path / "a.eps")  # Pillow opens it by Ghostscript
    with pytest.raises(DataError, match="the upload is not an image of a known format"):
        decode_image(path.read_bytes(), name="the upload")
    with pytest.raises(DataError, match="the image is empty; send the bytes"):
        decode_image(b"")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("clip.MP4", "is a video; cut it into images first"),
        ("https://example.com/a.jpg", "https://example.com/a.jpg is an address"),
        ("0", "0 is no file; cameras are not read"),
    ],
)
def test_streams_are_refused_with_what_to_do_instead(source, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=sentence):
        image_files([source])
