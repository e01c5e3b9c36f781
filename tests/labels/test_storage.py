"""Codes of label files: how every format joins, spells, maps and refuses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segloom.errors import ConfigError, DataError
from segloom.labels.storage import MANY_SHADES, STORAGES
from segloom.labels.stored import StoredLabels

PATH = Path("m.png")
INDEX, COLOR, BINARY = STORAGES["index"], STORAGES["color"], STORAGES["binary"]
PALETTE = [(0, 0, 0), (1, 2, 3), (255, 254, 253)]


def grey(rows, *, is_lossy=False):
    return StoredLabels(np.array(rows, np.uint8), "grey", is_lossy=is_lossy)


def paletted(rows, first_colors):
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(first_colors)] = first_colors
    return StoredLabels(np.array(rows, np.uint8), "palette", is_lossy=False, colors=colors)


def test_every_format_is_listed_under_its_own_name():
    assert {name: storage.name for name, storage in STORAGES.items()} == {
        "index": "index",
        "color": "color",
        "binary": "binary",
    }
    assert [STORAGES[name].survives_loss for name in ("index", "color", "binary")] == [
        False,
        False,
        True,
    ]


def test_a_colour_is_one_code_with_red_in_front():
    stored = StoredLabels(np.array([[[1, 2, 3], [255, 0, 16]]], np.uint8), "color", is_lossy=False)
    assert COLOR.codes(stored, PATH).tolist() == [[0x010203, 0xFF0010]]
    assert COLOR.codes(grey([[7]]), PATH).tolist() == [[0x070707]]


@pytest.mark.parametrize(
    ("storage", "text", "code", "spelled"),
    [
        (INDEX, "7", 7, "7"),
        (INDEX, "65535", 65535, "65535"),
        (COLOR, "1,2,3", 0x010203, "1,2,3"),
        (COLOR, "255,0,255", 0xFF00FF, "255,0,255"),
        (BINARY, "0", 0, "0"),
        (BINARY, "1", 1, "255"),
        (BINARY, "255", 1, "255"),
    ],
)
def test_keys_of_a_label_map_become_codes_and_come_back(storage, text, code, spelled):
    assert storage.parse(text) == code
    assert storage.spell(code) == spelled


@pytest.mark.parametrize(
    ("storage", "text", "sentence"),
    [
        (INDEX, "1,2,3", 'label maps of the format index hold values like "7"'),
        (BINARY, "1,2,3", 'label maps of the format binary hold values like "7"'),
        (COLOR, "7", 'label maps of the format color hold colours like "128,64,0"'),
        (INDEX, "65536", 'lists "65536", more than a label file can hold'),
        (COLOR, "0,0,256", 'lists "0,0,256", more than a label file can hold'),
    ],
)
def test_keys_that_no_file_of_the_format_holds_are_refused(storage, text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        storage.parse(text)


def test_codes_have_their_usual_classes_beside_the_users_label_map():
    assert INDEX.usual(3, PALETTE, is_listed=False) == {0: 0, 1: 1, 2: 2}
    assert INDEX.usual(3, PALETTE, is_listed=True) == {}
    assert INDEX.always == {255: 255}
    for is_listed in (False, True):
        assert COLOR.usual(3, PALETTE, is_listed=is_listed) == {0: 0, 0x010203: 1, 0xFFFEFD: 2}
        assert BINARY.usual(2, PALETTE, is_listed=is_listed) == {0: 0, 1: 1}


@pytest.mark.parametrize("storage", [COLOR, BINARY])
def test_values_of_void_are_for_ids_alone(storage):
    storage.check(2, [])
    INDEX.check(2, [250])
    with pytest.raises(ConfigError, match=rf"ignore_values \[250\] only fits .*{storage.name}"):
        storage.check(2, [250])


@pytest.mark.parametrize("number", [1, 3])
def test_binary_files_have_two_classes(number):
    with pytest.raises(ConfigError, match=f"two classes, but data.classes names {number};"):
        BINARY.check(number, [])


def test_grey_is_bright_from_128_on():
    stored = grey([[0, 127, 128, 255]])
    assert BINARY.codes(stored, PATH).tolist() == [[0, 0, 1, 1]]


def test_bits_are_their_own_codes():
    bits = StoredLabels(np.array([[0, 1, 1]], np.uint8), "bit", is_lossy=False)
    assert BINARY.codes(bits, PATH).tolist() == [[0, 1, 1]]
    assert INDEX.codes(bits, PATH).tolist() == [[0, 1, 1]]


def test_a_palette_of_greys_is_read_by_brightness_and_one_in_colour_by_index():
    rows = [[0, 1, 2]]
    greys = [(255, 255, 255), (0, 0, 0), (200, 200, 200)]
    assert BINARY.codes(paletted(rows, greys), PATH).tolist() == [[1, 0, 1]]
    colors = [(255, 255, 255), (128, 0, 0), (0, 0, 0)]
    assert BINARY.codes(paletted(rows, colors), PATH).tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("storage", [INDEX, BINARY])
def test_colours_are_no_values(storage):
    stored = StoredLabels(np.zeros((1, 1, 3), np.uint8), "color", is_lossy=False)
    with pytest.raises(DataError, match=f"m.png holds colours, but .* is {storage.name}; set"):
        storage.codes(stored, PATH)


def test_a_file_all_dark_is_empty_but_one_of_ids_is_refused():
    assert not BINARY.codes(grey(np.zeros((4, 4))), PATH).any()
    with pytest.raises(DataError, match=r"holds 0, 1 and nothing above 127.*mask_format: index"):
        BINARY.codes(grey([[0, 1]]), PATH)
    drawn = np.zeros((8, 8))
    drawn[2:7, 2:7] = 3
    with pytest.raises(DataError, match=r"holds 3 and nothing above 127.*mask_format: index"):
        BINARY.codes(grey(drawn), PATH)
    with pytest.raises(DataError, match=r"holds 3 and nothing above 127.*export it again as PNG"):
        BINARY.codes(grey(drawn, is_lossy=True), PATH)


def test_a_picture_has_more_shades_than_annotators():
    shades = 100 + np.arange(MANY_SHADES)
    assert BINARY.codes(grey([shades]), PATH).sum() == MANY_SHADES - 28
    with pytest.raises(DataError, match=r"most of label map m\.png is neither dark nor bright"):
        BINARY.codes(grey([[*shades, 99]]), PATH)


def test_which_files_are_read_by_nearest_values():
    two, three = grey([[0, 255]]), grey([[0, 9, 255]])
    color = StoredLabels(np.zeros((1, 1, 3), np.uint8), "color", is_lossy=False)
    assert [BINARY.is_smeared(stored) for stored in (two, three, color)] == [False, True, False]
    assert [INDEX.is_smeared(stored) for stored in (two, color)] == [None, False]
    assert [storage.is_smeared(grey([[0]], is_lossy=True)) for storage in (INDEX, COLOR)] == [
        True,
        True,
    ]
    assert INDEX.nearest(color, np.array([0, 1])) is None
