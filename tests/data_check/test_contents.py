"""What is counted in the files of a data set, by pixels that were written out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from segloom.data_check.contents import (
    Contents,
    FilePair,
    ValueCount,
    read_contents,
    rgb,
    spell,
)


def pair(folder, pixels, *, name="a", size=None, split="train", save=None, shade=0, **options):
    """Write an image of one shade and a label map, of equal sizes unless another is given."""
    image, mask = folder / f"{name}.png", folder / f"{name}_mask{save or '.png'}"
    drawn = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.uint8(pixels))
    drawn.save(mask, **options)
    Image.new("RGB", size or drawn.size, (shade,) * 3).save(image)
    return FilePair(split, image, mask)


def paletted(rows, *colors):
    image = Image.fromarray(np.uint8(rows)).convert("P")
    image.putpalette([channel for color in colors for channel in color])
    return image


def test_colours_are_split_and_spelled_as_red_green_blue():
    assert rgb(0x010203) == (1, 2, 3)
    assert rgb(0xFF8000) == (255, 128, 0)
    assert spell((128, 64, 0)) == "128,64,0"


def test_values_are_counted_by_pixels_and_by_files(tmp_path):
    pairs = [
        pair(tmp_path, [[0, 1, 1], [7, 1, 0]], name="a"),
        pair(tmp_path, [[1, 1]], name="b", shade=1),
    ]
    told = []
    found = read_contents(pairs, lambda *numbers: told.append(numbers))
    assert found.values == {0: ValueCount(2, 1), 1: ValueCount(5, 2), 7: ValueCount(1, 1)}
    assert found.colors == {}
    assert found.sizes == {(2, 3): 1, (1, 2): 1}
    assert found.kinds == {"grey": 2}
    assert (found.num_read, found.num_lossy, found.num_smeared) == (2, 0, 0)
    assert not found.has_many_values
    assert told == [(1, 2), (2, 2)]


def test_neighbours_are_compared_along_the_rows_alone(tmp_path):
    found = read_contents([pair(tmp_path, [[1, 1, 2], [1, 2, 2]])])
    assert found.like_neighbour == [2, 4]
    found = read_contents([pair(tmp_path, [[1], [1], [1]])])
    assert found.like_neighbour == [0, 0]


def test_zero_is_inside_an_area_from_three_pixels_to_any_other_value_on(tmp_path):
    rows = np.zeros((9, 9))
    rows[4, 8] = 3
    found = read_contents([pair(tmp_path, rows)])
    # Within two pixels of the 3 lie five rows of its column and of the two to its left.
    assert found.zero == [80, 81 - 15]


def test_dark_and_bright_end_at_39_and_216(tmp_path):
    found = read_contents([pair(tmp_path, [[0, 39, 40, 215, 216, 255]])])
    assert found.near_binary == [4, 6]
    bits = Image.fromarray(np.uint8([[0, 255]])).convert("1")
    found = read_contents([pair(tmp_path, bits)])
    assert (found.kinds, found.near_binary) == ({"bit": 1}, [2, 2])
    assert found.values == {0: ValueCount(1, 1), 1: ValueCount(1, 1)}


def test_colours_are_counted_as_codes(tmp_path):
    found = read_contents([pair(tmp_path, [[(1, 2, 3), (1, 2, 3), (255, 0, 0)]])])
    assert found.colors == {0x010203: ValueCount(2, 1), 0xFF0000: ValueCount(1, 1)}
    assert (found.values, found.like_neighbour, found.near_binary) == ({}, [0, 0], [0, 0])
    assert found.color_codes() == {0x010203: 2, 0xFF0000: 1}


def test_greys_and_indices_are_colours_too():
    found = Contents(
        values={0: ValueCount(5, 1), 2: ValueCount(3, 1), 9: ValueCount(4, 1)},
        colors={0x020202: ValueCount(10, 1), 0x0000FF: ValueCount(1, 1)},
        shown={9: {0x0000FF}},
    )
    assert found.color_codes() == {0x000000: 5, 0x020202: 13, 0x0000FF: 5}


def test_palettes_are_counted_with_the_colours_of_the_indices_in_use(tmp_path):
    one = paletted([[0, 1]], (0, 0, 0), (1, 2, 3), (9, 9, 9))
    two = paletted([[1, 1]], (0, 0, 0), (3, 2, 1), (9, 9, 9))
    found = read_contents([pair(tmp_path, one), pair(tmp_path, two, name="b", shade=1)])
    assert found.kinds == {"palette": 2}
    assert found.shown == {0: {0}, 1: {0x010203, 0x030201}}
    assert sorted(found.palettes.values()) == [1, 1]
    assert {palette[3:9] for palette in found.palettes} == {
        bytes([1, 2, 3, 9, 9, 9]),
        bytes([3, 2, 1, 9, 9, 9]),
    }
    assert found.values[1] == ValueCount(3, 2)


@pytest.mark.parametrize(
    ("number", "is_smeared", "areas"),
    [(2, False, {0, 50, 51, 200}), (3, False, {0, 200}), (4, True, {0, 200})],
)
def test_a_smear_has_four_values_more_than_its_areas(tmp_path, number, is_smeared, areas):
    rows = np.zeros((5, 20))
    rows[:, 12:] = 200
    rows[2, 9 : 9 + number] = np.arange(50, 50 + number)
    found = read_contents([pair(tmp_path, rows)])
    assert found.num_smeared == is_smeared
    assert set(found.flat) == areas  # up to four values are taken as they are


def test_lossy_files_are_counted(tmp_path):
    found = read_contents([pair(tmp_path, np.zeros((8, 8)), save=".jpg")])
    assert (found.num_lossy, found.num_smeared) == (1, 0)


def test_sizes_that_differ_are_told_as_width_by_height(tmp_path):
    found = read_contents([pair(tmp_path, np.zeros((2, 3)), size=(4, 2))])
    (sentence,) = found.mismatched
    assert sentence.endswith(" is 4x2")
    assert "a_mask.png is 3x2 but its image " in sentence
    assert (found.num_turned, found.num_read) == (0, 1)


def test_files_that_cannot_be_read_are_listed_and_the_others_counted(tmp_path):
    good, no_image, no_mask = (pair(tmp_path, [[1, 2]], name=name) for name in "abc")
    no_image.image.write_bytes(b"none")
    no_mask.mask.unlink()
    found = read_contents([no_image, no_mask, good])
    about_image, about_mask = found.damaged
    assert str(no_image.image) in about_image
    assert str(no_mask.mask) in about_mask
    assert found.num_read == 1
    assert found.sizes == {(1, 2): 2}
    assert found.values == {1: ValueCount(2, 2), 2: ValueCount(2, 2)}


def test_equal_images_share_a_digest_with_their_splits(tmp_path):
    pairs = [
        pair(tmp_path, [[1]], name="a"),
        pair(tmp_path, [[2]], name="b", split="val"),
        pair(tmp_path, [[1]], name="c", shade=9),
    ]
    found = read_contents(pairs)
    assert sorted(found.hashes.values(), key=len) == [
        [("train", pairs[2].image)],
        [("train", pairs[0].image), ("val", pairs[1].image)],
    ]


def test_label_maps_of_too_many_values_keep_the_most_frequent(tmp_path):
    values = np.arange(4200, dtype=np.uint16).reshape(60, 70)
    values[0, :2] = 4199  # 0 and 1 are gone, 4199 is there thrice
    found = read_contents([pair(tmp_path, Image.fromarray(values))])
    assert found.has_many_values
    assert len(found.values) == 4096
    assert found.values[4199] == ValueCount(3, 1)
    assert found.like_neighbour == [1, 60 * 69]


def test_nothing_is_counted_of_no_pairs():
    assert read_contents([]) == Contents()
    assert Contents().color_codes() == Counter()
