"""Bits of overlapping classes: their places, their limits, void, and values that are no set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segloom.errors import ConfigError
from segloom.labels.bits import (
    MAX_CLASSES,
    check_number,
    class_bit,
    class_map,
    in_class,
    label_type,
    pack,
    present_classes,
    stray_bits,
)
from segloom.types import IGNORE_INDEX

LIMITS = {1: "uint8", 7: "uint8", 8: "int32", 23: "int32", 24: "int64", 55: "int64"}


@pytest.mark.parametrize(("num_classes", "expected"), LIMITS.items())
def test_the_type_is_the_smallest_with_a_bit_for_every_class(num_classes, expected):
    assert label_type(num_classes) == expected
    highest = 2 ** class_bit(num_classes - 1, num_classes)
    assert highest <= np.iinfo(expected).max
    if num_classes in (7, 23, 55):  # the next class has no bit that leaves 255 and the sign free
        assert 4 * highest > np.iinfo(expected).max


def test_a_byte_uses_its_own_bits_and_wider_maps_leave_the_lowest_byte():
    assert [class_bit(k, 7) for k in (0, 6)] == [0, 6]
    assert [class_bit(k, 8) for k in (0, 7)] == [8, 15]


@pytest.mark.parametrize("num_classes", [1, MAX_CLASSES])
def test_as_many_classes_as_bits_are_taken(num_classes):
    check_number(num_classes)


@pytest.mark.parametrize("num_classes", [-1, 0, MAX_CLASSES + 1])
def test_more_or_fewer_are_refused_with_the_way_out(num_classes):
    with pytest.raises(ConfigError, match=rf"1 to 55 classes.*but there are {num_classes}; name"):
        check_number(num_classes)


@given(st.integers(1, MAX_CLASSES), st.integers(0, 2**32 - 1))
def test_maps_per_class_come_back_from_their_bits(num_classes, seed):
    present = np.random.default_rng(seed).random((num_classes, 3, 4)) < 0.4
    bits = pack(present)
    assert bits.dtype == label_type(num_classes)
    assert bits.shape == (3, 4)
    assert not (bits == IGNORE_INDEX).any()
    assert not stray_bits(bits, num_classes).any()
    assert (present_classes(bits, num_classes) == present).all()
    for class_id in range(num_classes):
        assert (in_class(bits, class_id, num_classes) == present[class_id]).all()
    assert (bits[~present.any(0)] == 0).all()


@pytest.mark.parametrize("num_classes", [3, 12, 30])
def test_void_is_in_no_class(num_classes):
    present = np.ones((num_classes, 1, 2), bool)
    bits = pack(present)
    bits[0, 1] = IGNORE_INDEX
    assert present_classes(bits, num_classes)[:, 0].tolist() == [[True, False]] * num_classes
    for class_id in range(num_classes):
        alone = class_map(bits, class_id, num_classes)
        assert alone.dtype == np.uint8
        assert alone.tolist() == [[1, 255]]


def test_a_map_of_one_class_has_the_rest_as_0():
    bits = np.array([0, 0b01, 0b10, 0b11, 255], np.uint8)
    assert class_map(bits, 1, 2).tolist() == [0, 0, 1, 1, 255]


@pytest.mark.parametrize(
    ("num_classes", "values", "stray"),
    [
        (2, [0, 1, 2, 3, 4, 7, 128, 255], [0, 0, 0, 0, 1, 1, 1, 1]),
        (7, [0, 1, 64, 127, 128, 254, 255], [0, 0, 0, 0, 1, 1, 1]),
        (9, [0, 1, 255, 256, 1 << 16, 1 << 17, -256], [0, 1, 1, 0, 0, 1, 1]),
        (30, [0, 1 << 8, 1 << 37, 1 << 38, 255, -1], [0, 0, 0, 1, 1, 1]),
    ],
)
def test_values_that_are_no_set_of_classes_are_told(num_classes, values, stray):
    labels = np.array(values, label_type(num_classes))
    assert stray_bits(labels, num_classes).astype(int).tolist() == stray
