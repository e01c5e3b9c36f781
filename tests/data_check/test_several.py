"""Images with several masks each, and bands in files of their own, found by names and pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segloom.data_check.layout import scan
from segloom.data_check.several import find_bands, find_mask_files


def photo(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path, column=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((8, 10), np.uint8)
    pixels[2:6, column : column + 3] = 255
    Image.fromarray(pixels).save(path)


def write(root, image, *masks, number=4):
    for index in range(number):
        photo(root / image.format(x=f"x{index}q"), index)
        for column, name in enumerate(masks):
            mask(root / name.format(x=f"x{index}q"), column)


def found(root):
    return find_mask_files(scan(root))


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    ("image", "masks", "options"),
    [
        ("images/{x}.png", ("masks/{x}_cell.png", "masks/{x}_dirt.png"), ("images", "masks")),
        ("images/{x}.png", ("masks/{x}/0.png", "masks/{x}/1.png"), ("images", "masks")),
        ("images/{x}.png", ("masks/cell/{x}_0.png", "masks/dirt/{x}_1.png"), ("images", "masks")),
        ("{x}.png", ("{x}_cell_0.png", "{x}_cell_1.png"), (".", ".")),
        ("{x}/images/{x}.png", ("{x}/masks/0.png", "{x}/masks/1.png"), (".", ".")),
    ],
)
def test_layouts_are_found(tmp_path, image, masks, options):
    write(tmp_path, image, *masks)
    images, own = options
    assert found(tmp_path) == {"name": "mask_files", "images": images, "masks": own}


def test_folders_of_splits_are_one_template(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / split, "images/{x}.png", "masks/{x}_a.png", "masks/{x}_b.png", number=2)
    assert found(tmp_path) == {
        "name": "mask_files",
        "images": "{split}/images",
        "masks": "{split}/masks",
    }


def test_an_end_that_only_images_have_is_told(tmp_path):
    write(tmp_path, "images/{x}_rgb.png", "masks/{x}_a.png", "masks/{x}_b.png")
    assert found(tmp_path) == {
        "name": "mask_files",
        "images": "images",
        "masks": "masks",
        "image_ending": "_rgb",
    }


@pytest.mark.parametrize(
    "masks",
    [
        (),
        ("masks/{x}.png",),
        ("masks/{x}_cell.png",),
        ("masks/{x}.png", "masks/{x}_cell.png"),
        ("masks/other_{x}_a.png", "masks/other_{x}_b.png"),
    ],
)
def test_other_folders_are_not_taken_for_them(tmp_path, masks):
    write(tmp_path, "images/{x}.png", *masks)
    assert found(tmp_path) is None


def test_pictures_of_an_image_are_no_masks(tmp_path):
    write(tmp_path, "images/{x}.png")
    for index in range(4):
        for name in ("a", "b"):
            photo(tmp_path / f"masks/x{index}q_{name}.png", 10 + index)
    assert found(tmp_path) is None


def test_one_image_with_several_masks_is_enough_among_four_and_not_among_five(tmp_path):
    write(tmp_path, "images/{x}.png", "masks/{x}_a.png", number=4)
    mask(tmp_path / "masks/x0q_b.png")
    assert found(tmp_path) is not None
    write(tmp_path, "images/{x}.png", "masks/{x}_a.png", number=5)
    assert found(tmp_path) is None
    mask(tmp_path / "masks/x1q_b.png")
    assert found(tmp_path) is not None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a_B02.tif", "a_B03.tif", "b_B02.tif", "b_B03.tif"], ("B02", "B03")),
        (["B8A/a.tif", "B04/a.tif", "B8A/b.tif", "B04/b.tif"], ("B04", "B8A")),
        (["a_nir.tif", "a_RED.tif", "b_nir.tif", "b_RED.tif"], ("RED", "nir")),
        (["a_band_1.tif", "a_band_2.tif", "b_band_1.tif", "b_band_2.tif"], ("band_1", "band_2")),
        (["a_B02.tif", "a_B03.tif"], ()),
        (["a_B02.tif", "b_B02.tif", "c_B02.tif"], ()),
        (["crab1.tif", "crab2.tif", "xred.tif", "xnir.tif"], ()),
        (["a.tif", "b.tif"], ()),
    ],
)
def test_bands_are_told_by_words_of_their_own_in_two_images_or_more(tmp_path, names, expected):
    touch(tmp_path, *names)
    assert find_bands(scan(tmp_path)) == expected


def test_the_bands_of_half_the_images_are_enough(tmp_path):
    touch(tmp_path, *(f"{x}_{b}.tif" for x in "ab" for b in ("B02", "B03")))
    touch(tmp_path, "c_B02.tif", "c_B04.tif", "d_B03.tif", "d_B04.tif")
    assert find_bands(scan(tmp_path)) == ("B02", "B03")
    touch(tmp_path, "e_B04.tif", "e_B05.tif")
    assert find_bands(scan(tmp_path)) == ()
