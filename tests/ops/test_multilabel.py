"""The layout of bits, from both sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segloom.errors import ConfigError
from segloom.label_bits import MAX_CLASSES, check_number, class_map, pack, sets
from segloom.ops.multilabel import class_targets, pack_probabilities


@pytest.mark.parametrize("num_classes", range(1, MAX_CLASSES + 1))
def test_every_set_of_classes_survives_and_is_never_void(num_classes):
    members = sets(num_classes)  # (2**K, K)
    bits = pack(members.T[:, None])  # (1, 2**K)
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(bits[0], np.arange(2**num_classes))
    assert bits.max() < 255
    for index in range(num_classes):
        np.testing.assert_array_equal(class_map(bits, index)[0], members[:, index])
    maps = class_targets(torch.from_numpy(bits[None]).long(), num_classes)
    np.testing.assert_array_equal(maps[0, :, 0].numpy(), members.T)
    np.testing.assert_array_equal(pack_probabilities(maps.float())[0].numpy(), bits)


def test_void_is_void_for_every_class():
    labels = np.array([[255, 0, 3]], np.uint8)
    np.testing.assert_array_equal(class_map(labels, 1), [[255, 0, 1]])
    assert labels.tolist() == [[255, 0, 3]]  # not changed
    maps = class_targets(torch.tensor([[[255, 0, 3]]]), 2)
    assert maps.tolist() == [[[[255, 0, 1]], [[255, 0, 1]]]]


def test_a_class_is_there_from_a_probability_of_a_half():
    values = torch.tensor([0.49999, 0.5, 0.50001]).view(1, 1, 1, 3)
    assert pack_probabilities(torch.cat([values, 1 - values], dim=1)).tolist() == [[[2, 3, 1]]]


@pytest.mark.parametrize("number", [0, 8, 100])
def test_there_are_seven_bits(number):
    with pytest.raises(ConfigError, match=r"takes 1 to 7 classes.*name fewer in data\.classes"):
        check_number(number)
