"""The layout of bits, from both sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segloom.errors import ConfigError
from segloom.labels.bits import (
    MAX_CLASSES,
    check_number,
    class_map,
    label_type,
    pack,
    present_classes,
    stray_bits,
)
from segloom.ops.multilabel import class_targets, pack_probabilities


@pytest.mark.parametrize("num_classes", [1, 2, 7, 8, 12, 16, 23, 24, 32, MAX_CLASSES])
def test_every_set_of_classes_survives_and_is_never_void(num_classes):
    rng = np.random.default_rng(num_classes)
    values = rng.integers(0, 2, (num_classes, 5, 40), np.uint8)
    values[:, 0, 0], values[:, 0, 1] = 0, 1  # none, and all
    present = values > 0
    bits = pack(present)
    assert bits.dtype == label_type(num_classes)
    assert bits.min() >= 0
    assert (bits != 255).all()
    assert not stray_bits(bits, num_classes).any()
    np.testing.assert_array_equal(present_classes(bits, num_classes), present)
    for index in range(num_classes):
        np.testing.assert_array_equal(class_map(bits, index, num_classes), values[index])
    maps = class_targets(torch.from_numpy(bits[None]).long(), num_classes)
    np.testing.assert_array_equal(maps[0].numpy(), values)
    again = pack_probabilities(maps.float())[0].numpy()
    assert again.dtype == bits.dtype
    np.testing.assert_array_equal(again, bits)


def test_a_byte_holds_up_to_seven_classes_as_it_always_did():
    members = np.arange(128)[None] >> np.arange(7)[:, None] & 1
    np.testing.assert_array_equal(pack(members[:, None] > 0)[0], np.arange(128))
    types = [label_type(number) for number in (7, 8, 23, 24, 55)]
    assert types == ["uint8", "int32", "int32", "int64", "int64"]


def test_a_bit_of_no_class_is_told():
    assert stray_bits(np.array([7, 8, 255], np.uint8), 3).tolist() == [False, True, True]
    wide = np.array([0, 1 << 8, 1 << 20, 1, -1, 255], np.int32)
    assert stray_bits(wide, 12).tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize(("number", "dtype"), [(2, np.uint8), (12, np.int32), (30, np.int64)])
def test_void_is_void_for_every_class(number, dtype):
    several = int(pack(np.arange(number)[:, None, None] < 2)[0, 0])
    labels = np.array([[255, 0, several]], dtype)
    np.testing.assert_array_equal(class_map(labels, 1, number), [[255, 0, 1]])
    assert labels.tolist() == [[255, 0, several]]  # not changed
    maps = class_targets(torch.from_numpy(labels[None]), number)
    assert maps[0, :2].tolist() == [[[255, 0, 1]], [[255, 0, 1]]]
    assert not present_classes(labels, number)[:, 0, 0].any()


def test_a_class_is_there_from_a_probability_of_a_half():
    values = torch.tensor([0.49999, 0.5, 0.50001]).view(1, 1, 1, 3)
    assert pack_probabilities(torch.cat([values, 1 - values], dim=1)).tolist() == [[[2, 3, 1]]]


@pytest.mark.parametrize("number", [0, 56, 100])
def test_there_are_55_bits(number):
    with pytest.raises(ConfigError, match=r"takes 1 to 55 classes.*name fewer in data\.classes"):
        check_number(number)
